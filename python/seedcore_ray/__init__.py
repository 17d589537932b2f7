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
    Probe,
    connection,
    ensure_ray_initialized,
    generation,
    last_error,
)
from seedcore_ray._errors import RayConnectionError

__all__ = [
    "Connection",
    "Probe",
    "RayConnectionError",
    "connect_async",
    "connection",
    "ensure_ray_initialized",
    "ensure_ray_initialized_async",
    "ensure_runtime_ready",
    "generation",
    "last_error",
    "wait_for_ray_ready_async",
]
