"""``seedcore.utils.ray_connector``: connect from the environment, and wait until Ray answers.

Address and namespace come from the environment alone (``RAY_ADDRESS``, ``SEEDCORE_NS``,
``RAY_NAMESPACE``). The connection is the process's: it is the one of ``seedcore.utils.ray_utils``.

``connect() -> None``
    Connect; at once when connected. Raises ``RayConnectionError`` otherwise, a
    ``ConnectionError`` that carries ``kind`` (the cause, one word), ``address``, ``hint`` (what to
    do), ``attempts`` and ``retry_after_s`` (seconds, None when time will not cure it). Waits at
    most ``SEEDCORE_RAY_CONNECT_TIMEOUT_S`` (30 seconds) for an answer.
``is_connected() -> bool``
    Connected, and the cluster answers now: one round trip, at most
    ``SEEDCORE_RAY_PROBE_TIMEOUT_S`` (2 seconds). ``ray.is_initialized()`` stays True on a dead
    cluster, this does not. Never raises and never connects.
``wait_for_ray_ready(max_wait_seconds=5) -> bool``
    Wait until connected and answering, at most that many seconds. Ctrl-C ends the wait.
``get_connection_info() -> dict``
    ``{"status": "connected", "namespace", "address", "node_id", "cluster_resources",
    "ray_version"}``, or ``{"status": "not_connected"}``, or ``{"status": "error", "error"}``.
    Never raises, bounded in time.
``ensure_runtime_ready() -> Awaitable[bool]``
    The async twin of ``ensure_ray_initialized``: True when connected. It never blocks the event
    loop, and any number of tasks may await it at once: they share one attempt.

Importing this module imports neither ``ray`` nor ``asyncio`` and starts no thread.
"""

from seedcore_ray._facades.functions import (
    RayConnectionError,
    connect,
    ensure_runtime_ready,
    get_connection_info,
    is_connected,
    wait_for_ray_ready,
)

__all__ = [
    "RayConnectionError",
    "connect",
    "ensure_runtime_ready",
    "get_connection_info",
    "is_connected",
    "wait_for_ray_ready",
]
