"""``require_ray``: for what cannot be answered without Ray."""

from __future__ import annotations

from typing import Any

from starlette.requests import HTTPConnection

from seedcore_ray import _core
from seedcore_ray.fastapi import _unavailable
from seedcore_ray.fastapi._middleware import KEY


async def require_ray(connection: HTTPConnection) -> Any:
    """A dependency: 503 with ``Retry-After`` unless Ray is there and ``on_ready`` is done.

    Use it as ``Depends(require_ray)``, or in Starlette as ``await require_ray(request)``. From here
    on the request needs Ray: when the connection is lost, it is cancelled and answered with 503.

    Args:
        connection: the request or WebSocket.

    Returns:
        What ``on_ready`` made on the connection of now; None without ``on_ready``.

    Raises:
        HTTPException: 503, before anything of Ray was called.
    """
    use = connection.scope.get(KEY)
    if use is None:  # no lifespan of ours runs: all that is known is the connection
        now = _core.connection()
        if now.state != "connected":
            raise _unavailable.unavailable(_unavailable.reason(now))
        return None
    if absence := use.keeper.absence():
        raise _unavailable.unavailable(absence)
    use.needs_ray()
    return use.keeper.value
