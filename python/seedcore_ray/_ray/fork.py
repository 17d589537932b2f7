"""Lets a forked child of a connected process exit cleanly.

Ray does not survive a fork: in the child its ``atexit`` hook waits for threads that do not exist,
and its native destructors fault at finalization. Ray cannot be used there, but the child can exit:
``sys.exit(n)`` ends in 0.1 s with code n, where bare Ray hangs for more than 45 s (measured, 2.60).
"""

from __future__ import annotations

import atexit
import sys
from typing import Any


def leave_cleanly() -> None:
    """Remove what Ray would do at this child's exit. Calls nothing of Ray."""
    worker = sys.modules.get("ray._private.worker")
    if worker is None:
        return
    atexit.unregister(worker.shutdown)
    atexit.unregister(getattr(sys.modules["ray"], "shutdown", worker.shutdown))
    # Whatever the mode: a ray.init that another thread was in the middle of has none yet.
    _keep_for_ever(_native_handles(worker))
    _skip_static_destructors()
    # Ray's excepthook reports what ends a driver to the cluster, and hangs here. It asks for this
    # first; who wrapped the hook meanwhile still calls it, so replacing it is not enough.
    worker.global_worker.mode = None


def _native_handles(worker: Any) -> list[object]:
    """The objects whose native destructors would fault without Ray's threads."""
    node = getattr(worker, "_global_node", None)
    state = getattr(sys.modules.get("ray._private.state"), "state", None)
    handles = [
        getattr(worker.global_worker, "core_worker", None),
        getattr(worker.global_worker, "gcs_client", None),
        node,
        getattr(node, "_gcs_client", None),
    ]
    if state is not None:
        handles += vars(state).values()
    return [handle for handle in handles if handle is not None]


def _keep_for_ever(handles: list[object]) -> None:
    import ctypes

    for handle in handles:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(handle))


def _skip_static_destructors() -> None:
    """End the process as soon as the interpreter is done, with the exit code it has by then.

    ``on_exit`` is glibc's; elsewhere (musl, macOS) such a child has to end with ``os._exit``.
    """
    import ctypes

    libc = ctypes.CDLL(None)
    on_exit = getattr(libc, "on_exit", None)
    if on_exit is not None:
        on_exit.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        on_exit(ctypes.cast(libc._exit, ctypes.c_void_p), None)
