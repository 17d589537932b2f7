"""One connection from a Python service to a Ray cluster, and it holds.

Existing callers keep their imports (``seedcore.utils.ray_utils``,
``seedcore.utils.ray_connector``); this package adds what they could not ask before: why a connect
failed (``last_error``), what is held and where each part of it came from (``connection``); and for
what must exist only after Ray does, ``lazy``.

Importing it imports no ``ray``, starts no thread and opens no socket.
"""

from __future__ import annotations

from seedcore_ray._async_api import (
    connect_async,
    ensure_ray_initialized_async,
    ensure_runtime_ready,
    wait_for_ray_ready_async,
)
from seedcore_ray._core import (
    Connection,
    Event,
    Lazy,
    PooledConnection,
    Probe,
    connect,
    connection,
    ensure_ray_initialized,
    generation,
    last_error,
    lazy,
    metrics_text,
    require_ray,
    start_monitor,
    stop_monitor,
)
from seedcore_ray._errors import (
    PoolClosed,
    PoolTimeout,
    RayConnectionError,
    RayNotReadyError,
    TooManyRequests,
)

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from seedcore_ray import metrics
    from seedcore_ray._events import off_event, on_event
    from seedcore_ray.pool import ConnectionPool

__all__ = [
    "Connection",
    "ConnectionPool",
    "Event",
    "Lazy",
    "PoolClosed",
    "PoolTimeout",
    "PooledConnection",
    "Probe",
    "RayConnectionError",
    "RayNotReadyError",
    "TooManyRequests",
    "connect",
    "connect_async",
    "connection",
    "ensure_ray_initialized",
    "ensure_ray_initialized_async",
    "ensure_runtime_ready",
    "generation",
    "last_error",
    "lazy",
    "metrics",
    "metrics_text",
    "off_event",
    "on_event",
    "require_ray",
    "start_monitor",
    "stop_monitor",
    "wait_for_ray_ready_async",
]


def __getattr__(name: str) -> object:
    """Import what not everybody needs when it is first asked for."""
    # Callbacks need threads, queues and weak references.
    if name in ("on_event", "off_event"):
        from seedcore_ray import _events

        return getattr(_events, name)
    if name == "ConnectionPool":
        from seedcore_ray.pool import ConnectionPool

        return ConnectionPool
    if name == "metrics":
        from importlib import import_module

        return import_module("seedcore_ray.metrics")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
