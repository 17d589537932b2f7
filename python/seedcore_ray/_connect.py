"""The thread that carries out one connect: preflight, then ``ray.init``.

It is a Python thread and a daemon. Rust only looks at the network from here (``preflight``);
while ``ray.init`` blocks, no Rust frame stands on its stack, so that the interpreter can end at
any moment.
"""

from __future__ import annotations

import contextvars
import logging
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress

from seedcore_ray._ray import sigterm

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import Any

    from seedcore_ray._core import Flight

# The client proxy forks a server for each client, and that fork fails at times (ray-facts).
_FORK_FAILED = "Starting Ray client server failed"
_FORK_RETRY_S = 0.5
_STAY_S = 1.0


def launch(flight: Flight) -> None:
    """Carry out ``flight`` on a thread of its own, in the caller's context variables."""
    context = contextvars.copy_context()
    threading.Thread(
        target=context.run, args=(_fly, flight), name="seedcore-ray-connect", daemon=True
    ).start()


def _fly(flight: Flight) -> None:
    try:
        if flight.preflight():
            _connect(flight)
            _stay(flight)
    except BaseException as error:  # whoever waits must hear of it, whatever it is
        flight.failed(error)


def _connect(flight: Flight) -> None:
    import ray

    switch_off_auto_connect()  # again: another thread may have been half-way through the import
    if not flight.accepts(str(ray.__version__), sys.version.split()[0]):
        return
    if flight.force:
        flight.dropped()
    elif _is_initialized(ray):
        flight.overtaken(ray)
        return
    if _client_is_left() or _is_initialized(ray):
        _undo(ray)
    try:
        _init(flight, ray)
    except BaseException:
        _undo(ray)
        raise
    if not flight.arrived(ray):
        _undo(ray)
        flight.called_off()
    elif monitor := flight.take_monitor():
        from seedcore_ray import _monitor

        _monitor.launch(monitor)


def _is_initialized(ray: Any) -> bool:
    try:
        return bool(ray.is_initialized())
    except Exception:  # a client that lost its head asks over a closed channel
        return False


def _client_is_left() -> bool:
    """Whether a lost client connection left its worker behind: ray.init would take it for one."""
    client = sys.modules.get("ray.util.client")
    context = getattr(client, "_default_context", None)
    return getattr(context, "client_worker", None) is not None


def _stay(flight: Flight) -> None:
    """Outlive a cluster that was started here.

    Linux ends its processes with the thread that started them (``PR_SET_PDEATHSIG``, which Ray sets
    so that no cluster outlives its driver).
    """
    if not flight.starts_cluster:
        return
    import ray

    while ray.is_initialized():
        time.sleep(_STAY_S)


def _init(flight: Flight, ray: Any) -> None:
    arguments = flight.init_arguments()
    _forget_token()
    with _without_sigterm_warning(), sigterm.kept():
        while True:
            try:
                ray.init(**arguments)
            except Exception as error:
                again = _FORK_FAILED in str(error) and flight.wanted
                if not again or flight.init_seconds_left() < _FORK_RETRY_S:
                    raise
                logging.getLogger("seedcore_ray.flight").debug(
                    "%s; it is transient, calling ray.init again", _FORK_FAILED
                )
                _undo(ray)
                time.sleep(_FORK_RETRY_S)
            else:
                return


def _forget_token() -> None:
    """Ray keeps the first token it reads; the one that is there now may be another."""
    with suppress(ImportError, AttributeError):
        from ray._raylet import AuthenticationTokenLoader

        AuthenticationTokenLoader.instance().reset_cache()


def _undo(ray: Any) -> None:
    """Leave nothing half-made behind: a failed client init leaves client mode switched on."""
    with suppress(BaseException):
        sigterm.shutdown(ray)


def switch_off_auto_connect() -> None:
    """Keep a stray ``.remote()`` from starting a cluster of its own.

    Without a connection, Ray calls ``ray.init()`` with no address for any task, actor or ``put``.
    ``RAY_ENABLE_AUTO_CONNECT`` is read when ``ray`` is imported; after that its module attribute
    counts. Whoever sets the variable decides for themselves.
    """
    if "RAY_ENABLE_AUTO_CONNECT" in os.environ:
        return
    if "ray" not in sys.modules:
        os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
        return
    hook = sys.modules.get("ray._private.auto_init_hook")
    if hook is not None:
        hook.enable_auto_connect = False  # type: ignore[attr-defined]


@contextmanager
def _without_sigterm_warning() -> Iterator[None]:
    """Ray warns that it sets no SIGTERM handler off the main thread: not news to our callers."""
    here = threading.get_ident()

    def is_news(record: logging.LogRecord) -> bool:
        return record.thread != here or "SIGTERM handler is not set" not in str(record.msg)

    logger = logging.getLogger("ray._private.worker")
    logger.addFilter(is_news)
    try:
        yield
    finally:
        logger.removeFilter(is_news)


def graceful_sigterm() -> None:
    """Set the SIGTERM handler that ``ray.init`` would have set on the main thread.

    Ray exits through ``sys.exit`` so that its ``atexit`` hooks run. A handler that the service
    has set is left alone (Ray itself would overwrite it).
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _exit)


def _exit(signum: int, _frame: FrameType | None) -> None:
    sys.exit(signum)
