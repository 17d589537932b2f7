"""``health_router``: liveness, readiness and metrics, none of which waits for anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router

from seedcore_ray import _core
from seedcore_ray.fastapi import _pools, _unavailable
from seedcore_ray.fastapi._middleware import KEY, absence
from seedcore_ray.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Scope

    from seedcore_ray._errors import RayConnectionError


def health_router(*, metrics: bool = False) -> Any:
    """The probes' routes.

    - ``/livez``: 200 for as long as the event loop runs. It never depends on Ray: a restart of this
      process brings no cluster back.
    - ``/readyz``: 200 when what needs Ray can be answered, else 503 with ``Retry-After`` and the
      cause in the body. Reads memory only. Each pool of ``pool_lifespan`` has to have a connection,
      or to need none yet (``min_size=0``); the body has the numbers of every open pool. A service
      with such pools and no ``ray_lifespan`` needs no connection of its own until it makes one.
    - ``/metrics``, when asked for: ``seedcore_ray.metrics_text()``, OpenMetrics.

    Args:
        metrics: serve ``/metrics``, too. Services that show their own use
            ``seedcore_ray.metrics.register()`` instead.

    Returns:
        For ``app.include_router``: an ``APIRouter`` where FastAPI is installed, else a Starlette
        ``Router``. ``Starlette(routes=[*health_router().routes])`` works with both.
    """
    routes = [Route("/livez", _livez), Route("/readyz", _readyz)]
    if metrics:
        routes.append(Route("/metrics", _metrics))
    try:
        from fastapi import APIRouter
    except ModuleNotFoundError:
        return Router(routes)
    # As Starlette's routes: they are not validated, and not part of the API's description.
    router = APIRouter()
    router.routes.extend(routes)
    return router


async def _livez(request: Request) -> Response:
    return JSONResponse({"alive": True})


async def _readyz(request: Request) -> Response:
    now = _core.connection()
    why = _absence(request.scope, now)
    told: dict[str, Any] = {
        "ready": why is None,
        "state": now.state,
        "address": now.address,
        "namespace": now.namespace,
        "generation": now.generation,
        "since": now.since,
    }
    if pools := _pools.numbers(request.scope):
        told["pools"] = pools
    if why is None:
        return JSONResponse(told)
    told["cause"] = {"kind": why.kind, "message": str(why)}
    return JSONResponse(told, status_code=503, headers=_unavailable.retry_after(why))


def _absence(scope: Scope, now: _core.Connection) -> RayConnectionError | None:
    lives_on_pools = _pools.are_needed(scope) and KEY not in scope
    if not (lives_on_pools and now.state == "idle") and (why := absence(scope)):
        return why
    return _pools.absence(scope)


async def _metrics(request: Request) -> Response:
    return Response(_core.metrics_text(), media_type=CONTENT_TYPE)
