"""``ray.init`` as this library calls it, on a thread that is not the main one."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager, suppress

from seedcore_ray._ray import caches, greenlets, sigterm, streams

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The client proxy forks a server for each client, and that fork fails at times
# (docs/ray-internals.md, "Probes"). Calling ray.init again cures it.
_FORK_FAILED = "Starting Ray client server failed"
_FORK_RETRY_S = 0.5


def init(
    connect: Callable[[], object], undo: Callable[[], None], seconds_left: Callable[[], float]
) -> None:
    """Connect; again while only the proxy's fork fails.

    Args:
        connect: calls ``ray.init``, or connects a client beside that.
        undo: leaves nothing half made behind.
        seconds_left: how long it may still be tried again; 0 once no caller waits.

    Raises:
        BaseException: whatever Ray raises. Something half made may be left.
    """
    _forget_token()
    caches.forget()
    greenlets.warn()
    with _without_sigterm_warning(), sigterm.kept(), streams.need_no_file():
        while True:
            try:
                connect()
            except Exception as error:
                if _FORK_FAILED not in str(error) or seconds_left() < _FORK_RETRY_S:
                    raise
                logging.getLogger("seedcore_ray.connect").debug(
                    "%s; it is transient, calling ray.init again", _FORK_FAILED
                )
                undo()
                time.sleep(_FORK_RETRY_S)
            else:
                return


def _forget_token() -> None:
    """Ray keeps the first token it reads; the one that is there now may be another."""
    with suppress(ImportError, AttributeError):
        from ray._raylet import AuthenticationTokenLoader

        AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _without_sigterm_warning() -> Iterator[None]:
    """Drop Ray's warning that it sets no SIGTERM handler off the main thread: we set one."""
    here = threading.get_ident()

    def is_news(record: logging.LogRecord) -> bool:
        return record.thread != here or "SIGTERM handler is not set" not in str(record.msg)

    logger = logging.getLogger("ray._private.worker")
    logger.addFilter(is_news)
    try:
        yield
    finally:
        logger.removeFilter(is_news)
