"""``require_ray``: for requests that cannot be answered without Ray."""

from __future__ import annotations

from typing import Any

from starlette.requests import HTTPConnection

from seedcore_ray.fastapi import _unavailable
from seedcore_ray.fastapi._middleware import KEY, refusal


async def require_ray(connection: HTTPConnection) -> Any:
    """A dependency: 503 with ``Retry-After`` unless Ray is there and ``on_ready`` is done.

    A cluster that has stopped answering (state ``unhealthy``) counts as away, unless
    ``ray_lifespan`` says otherwise.
    Use it as ``Depends(require_ray)``, or in Starlette as ``await require_ray(request)``. From here
    on the request needs Ray: when the connection is lost, it is cancelled and answered with 503.

    Args:
        connection: the request or WebSocket.

    Returns:
        What ``on_ready`` made on the connection of now; None without ``on_ready``.

    Raises:
        HTTPException: 503, before anything of Ray was called.
    """
    if why := refusal(connection.scope):
        raise _unavailable.unavailable(why)
    if (served := connection.scope.get(KEY)) is None:
        return None
    supervisor, request = served
    supervisor.needs_ray(request)
    return supervisor.value
