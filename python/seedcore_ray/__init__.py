"""One connection from a Python service to a Ray cluster, and it holds.

Existing callers keep their imports (``seedcore.utils.ray_utils``,
``seedcore.utils.ray_connector``); this package adds what they could not ask before: why a connect
failed (``last_error``), what is held and where each part of it came from (``connection``); and for
what must exist only after Ray does, ``lazy``.

Importing it imports no ``ray`` and not even the extension, starts no thread and opens no socket.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from seedcore_ray import metrics
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

# Imported when first asked for: `seedcore-ray migrate` runs where the extension cannot be loaded,
# and callbacks need threads, queues and weak references, which not everybody wants.
_HOMES = {
    "_async_api": (
        "connect_async",
        "ensure_ray_initialized_async",
        "ensure_runtime_ready",
        "wait_for_ray_ready_async",
    ),
    "_core": (
        "Connection",
        "Event",
        "Lazy",
        "PooledConnection",
        "Probe",
        "connect",
        "connection",
        "ensure_ray_initialized",
        "generation",
        "last_error",
        "lazy",
        "metrics_text",
        "require_ray",
        "start_monitor",
        "stop_monitor",
    ),
    "_errors": (
        "PoolClosed",
        "PoolTimeout",
        "RayConnectionError",
        "RayNotReadyError",
        "TooManyRequests",
    ),
    "_events": ("off_event", "on_event"),
    "pool": ("ConnectionPool",),
}


def __getattr__(name: str) -> object:
    """Import the module that a name is from; the name is this package's from then on."""
    from importlib import import_module

    if name in ("_core", "metrics"):
        return import_module(f"seedcore_ray.{name}")
    for home, names in _HOMES.items():
        if name in names:
            value: object = getattr(import_module(f"seedcore_ray.{home}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
