"""The server process of a Ray Client, which the client proxy has forked for this process.

When it dies, the proxy goes on answering, and calls of the session wait: Ray itself gives up after
its grace of 30 s. But the proxy ends the log stream of the session at once, and the thread that
reads it returns (``LogstreamClient.log_thread``, 2.33 to 2.60).
"""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def watch(worker: Any, report: Callable[[], None]) -> None:
    """Call ``report`` once the server process of a Ray Client seems to have ended.

    Args:
        worker: Ray's worker of that client.
        report: is called on a thread of its own. Not called after the client was disconnected.
    """
    log_thread = getattr(getattr(worker, "log_client", None), "log_thread", None)
    if not isinstance(log_thread, threading.Thread):  # another Ray: the next look finds out
        return

    def wait() -> None:
        log_thread.join()
        if not worker._in_shutdown or given_up(worker) is not None:
            report()

    threading.Thread(target=wait, name="seedcore-ray-client-server", daemon=True).start()


def given_up(worker: Any) -> str | None:
    """Why Ray itself has given up a Ray Client, in Ray's words; None where it has not.

    Its data channel has ended with an error that Ray does not reconnect after: the head is another
    one, was away for longer than Ray's grace, or could not unpickle an argument. The next call that
    uses the client disconnects it, which looks as if somebody had called ``ray.shutdown()`` (2.33
    to 2.60).

    Args:
        worker: Ray's worker of that client.
    """
    error = getattr(getattr(worker, "data_client", None), "_last_exception", None)
    if error is None:
        return None
    code = getattr(error, "code", None)
    if code is None:  # no answer of gRPC's: the grace has passed
        return str(error)
    from ray.util.client.common import GRPC_UNRECOVERABLE_ERRORS

    # A disconnect breaks the channel to a silent head, too, by an error that Ray reconnects after.
    is_final = code() in GRPC_UNRECOVERABLE_ERRORS or not worker._reconnect_enabled
    return f"{code().name}: {error.details()}" if is_final else None


@contextmanager
def hung_up(worker: Any) -> Iterator[None]:
    """Close the channel to a lost cluster, so that a disconnect in here waits for nothing.

    It sends a farewell, for whose answer it waits as long as the proxy waits for a dead server: up
    to 30 s (measured, 2.60).

    Args:
        worker: Ray's worker of that client; None where there is none.
    """
    channel = getattr(worker, "channel", None)
    if channel is None:
        yield
        return
    worker._in_shutdown = True  # as ``close()`` does first: nothing reconnects
    logger = logging.getLogger("ray.util.client.dataclient")
    logger.addFilter(_is_news)
    try:
        with suppress(Exception):
            channel.close()
        yield
    finally:
        logger.removeFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return "Unrecoverable error in data channel" not in str(record.msg)


def default_worker() -> Any:
    """Ray's worker of the client that ``ray.init`` has made; None where there is none."""
    module = sys.modules.get("ray.util.client")
    return getattr(getattr(module, "_default_context", None), "client_worker", None)
