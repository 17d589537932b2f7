"""``seedcore.utils.ray_connector``: connect, or raise, and wait until Ray answers.

Address and namespace come from the environment (``RAY_ADDRESS``, ``SEEDCORE_NS``,
``RAY_NAMESPACE``) unless ``connect`` is given them. The connection is the process's: it is the one
of ``seedcore.utils.ray_utils``.

Importing this module imports neither ``ray`` nor ``asyncio`` and starts no thread.
"""

from seedcore_ray._async_api import ensure_runtime_ready
from seedcore_ray._core import connect, is_connected, wait_for_ray_ready
from seedcore_ray._core import connection_info as get_connection_info
from seedcore_ray._errors import RayConnectionError

__all__ = [
    "RayConnectionError",
    "connect",
    "ensure_runtime_ready",
    "get_connection_info",
    "is_connected",
    "wait_for_ray_ready",
]
