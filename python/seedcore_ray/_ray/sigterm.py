"""Keeps the service's SIGTERM handler through ``ray.init`` and ``ray.shutdown``.

Ray's native side installs a handler of its own, which prints a stack trace and then calls the one
before it. ``ray.shutdown()`` removes it and restores none, so that SIGTERM then ends the process at
once (measured, 2.60). ``signal.signal`` would restore it, but only on the main thread, and there
Python does not know that it is gone.
"""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_LARGER_THAN_ANY_STRUCT_SIGACTION = 512


@contextmanager
def kept() -> Iterator[None]:
    """Restore the SIGTERM handler afterwards, if there was one. Works on any thread."""
    import ctypes

    libc = ctypes.CDLL(None)
    action = ctypes.create_string_buffer(_LARGER_THAN_ANY_STRUCT_SIGACTION)
    libc.sigaction(signal.SIGTERM, None, action)
    try:
        yield
    finally:
        # The handler is the first field. Where there is none, ``set_graceful`` may set one later.
        if any(action.raw[: ctypes.sizeof(ctypes.c_void_p)]):
            libc.sigaction(signal.SIGTERM, action, None)


def set_graceful() -> None:
    """Set the SIGTERM handler that ``ray.init`` would have set on the main thread.

    Ray exits through ``sys.exit`` so that its ``atexit`` hooks run. A handler that the service has
    set is left alone, where Ray would overwrite it. On any other thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _exit)


def _exit(signum: int, _frame: FrameType | None) -> None:
    sys.exit(signum)
