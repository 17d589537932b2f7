"""SIGTERM stays with the service, whatever Ray does to it.

Ray's native side puts a handler of its own before the service's, which prints a stack trace and
then calls the former. ``ray.shutdown()`` takes it away, and leaves none: from then on SIGTERM ends
the process at once, without the service's own way to end (measured, 2.60). ``signal.signal`` would
put it back, but only on the main thread, and there Python does not even know that it is gone.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

_LARGER_THAN_ANY_STRUCT_SIGACTION = 512


@contextmanager
def kept() -> Iterator[None]:
    """The handler of SIGTERM is afterwards what it was, unless there was none. On any thread."""
    import ctypes

    libc = ctypes.CDLL(None)
    action = ctypes.create_string_buffer(_LARGER_THAN_ANY_STRUCT_SIGACTION)
    libc.sigaction(signal.SIGTERM, None, action)
    try:
        yield
    finally:
        # The handler comes first in it. Where there is none, a caller on the main thread sets one.
        if any(action.raw[: ctypes.sizeof(ctypes.c_void_p)]):
            libc.sigaction(signal.SIGTERM, action, None)


def shutdown(ray: Any) -> None:
    """``ray.shutdown()``, after which the service can still be asked to end."""
    with kept():
        ray.shutdown()
