"""Lets a forked child of a connected process exit cleanly.

Ray does not survive a fork: in the child its ``atexit`` hook waits for threads that do not exist,
and its native destructors fault at finalization. Ray cannot be used there, but the child can exit:
``sys.exit(n)`` ends in 0.1 s with code n, where bare Ray hangs for more than 45 s (measured, 2.60).
"""

from __future__ import annotations

import atexit
import sys
from typing import Any

from seedcore_ray import _core, _process_end


def leave_cleanly() -> None:
    """Remove what Ray would do at this child's exit. Calls nothing of Ray."""
    worker = sys.modules.get("ray._private.worker")
    if worker is None:
        return
    atexit.unregister(worker.shutdown)
    atexit.unregister(getattr(sys.modules["ray"], "shutdown", worker.shutdown))
    # Whatever the mode: a ray.init that another thread was in the middle of has none yet.
    _keep_for_ever(_native_handles(worker))
    _process_end.skip_static_destructors(portably=_core.PLATFORM == "portable")
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
