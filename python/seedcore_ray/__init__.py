"""One connection from a Python service to a Ray cluster, and it holds.

Existing callers keep their imports (``seedcore.utils.ray_utils``,
``seedcore.utils.ray_connector``); this package adds what they could not ask before: why a connect
failed (``last_error``), what is held and where each part of it came from (``connection``).

Importing it imports no ``ray``, starts no thread and opens no socket.
"""

from seedcore_ray._asyncio import (
    connect_async,
    ensure_ray_initialized_async,
    ensure_runtime_ready,
    wait_for_ray_ready_async,
)
from seedcore_ray._core import (
    Connection,
    Event,
    Probe,
    connection,
    ensure_ray_initialized,
    generation,
    last_error,
    start_monitor,
    stop_monitor,
)
from seedcore_ray._errors import RayConnectionError

__all__ = [
    "Connection",
    "Event",
    "Probe",
    "RayConnectionError",
    "connect_async",
    "connection",
    "ensure_ray_initialized",
    "ensure_ray_initialized_async",
    "ensure_runtime_ready",
    "generation",
    "last_error",
    "off_event",
    "on_event",
    "start_monitor",
    "stop_monitor",
    "wait_for_ray_ready_async",
]


def __getattr__(name: str) -> object:
    # Callbacks need threads, queues and weak references: not everybody's import.
    if name in ("on_event", "off_event"):
        from seedcore_ray import _events

        return getattr(_events, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
