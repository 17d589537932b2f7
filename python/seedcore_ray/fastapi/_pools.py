"""``pool_lifespan`` and ``require_pool``: pools of connections in a service."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from seedcore_ray._errors import RayConnectionError
from seedcore_ray.fastapi import _unavailable
from seedcore_ray.fastapi._exception_origin import connection_error, is_rays
from seedcore_ray.fastapi._lifespan import Lifespan, check_wait, installed
from seedcore_ray.fastapi._middleware import answered
from seedcore_ray.pool import ConnectionPool, opened

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from seedcore_ray import _core

_KEY = "seedcore_ray.pools"
"""Where a request's scope has the pools that the service needs."""

_log = logging.getLogger("seedcore_ray.fastapi")


def pool_lifespan(
    *pools: ConnectionPool, wait_s: float = 10.0, lifespan: Lifespan | None = None
) -> Lifespan:
    """A lifespan for ``FastAPI(lifespan=...)`` and ``Starlette(lifespan=...)`` that opens pools.

    Neither opening nor closing blocks the event loop. A cluster that is away fails no startup:
    after ``wait_s`` the service begins to answer, and the pools go on connecting. A request that
    ends with a ``RayConnectionError`` (``PoolTimeout``, ``TooManyRequests`` and ``PoolClosed`` are
    some) is answered with 503 and ``Retry-After``. ``/readyz`` counts these pools.

    Args:
        *pools: are opened at startup, and closed at the end. One that was open before stays so.
        wait_s: how long startup waits until each has ``min_size`` connections, in seconds; 0 does
            not wait.
        lifespan: the app's own, or ``ray_lifespan(...)`` beside the pools; entered before they are
            opened and left after they are closed. What it yields is passed on.

    Raises:
        TypeError, ValueError: for a mistake in the call.
        PoolClosed: at startup, a pool is closed already.
        RayConnectionError: at startup, of kind ``forked``: this process was forked from one that
            had opened the pool, or had connected to Ray.
    """
    check_wait(wait_s)
    for pool in pools:
        if not isinstance(pool, ConnectionPool):
            raise TypeError(f"pool_lifespan takes ConnectionPools, not {type(pool).__name__}")

    @asynccontextmanager
    async def manage(app: Any) -> AsyncIterator[Any]:
        async with lifespan(app) if lifespan else nullcontext() as state:
            with installed(app, lambda bare: _PoolMiddleware(bare, pools)):
                async with _open(pools, wait_s):
                    yield state

    return manage


def require_pool(pool: ConnectionPool) -> Callable[[], Coroutine[Any, Any, ConnectionPool]]:
    """A dependency: 503 with ``Retry-After`` while no connection of ``pool`` could be had.

    That is so when it is closed, and when none of its connections is up and its cluster was found
    to be away. While all are in use, the request waits for one. It does not lend a connection: Ray
    binds one to a thread, and FastAPI runs a dependency in another thread than its route. Use it as
    ``Depends(require_pool(pool))``, and in the route ``with pool.connection():`` (``def``) or
    ``await pool.run_async(...)`` (``async def``).

    Args:
        pool: the pool.

    Returns:
        For ``Depends``. Its value is the pool.
    """

    async def required() -> ConnectionPool:
        try:
            pool.open()
        except RayConnectionError as error:
            raise _unavailable.unavailable(error) from None
        if why := pool._core.absence():
            raise _unavailable.unavailable(why)
        return pool

    return required


def numbers(scope: Scope) -> list[dict[str, Any]]:
    """What ``/readyz`` shows: the pools that the service needs, then the others that are open."""
    needed = _needed(scope)
    cores = [pool._core for pool in needed]
    told = []
    for core in [*cores, *(core for core in opened() if core not in cores)]:
        is_needed = core in cores
        why = _absence(core)
        one = {
            "name": core.name,
            "address": core.address,
            "required": is_needed,
            "ready": why is None,
            **core.stats(),
        }
        if why is not None:
            one["cause"] = {"kind": why.kind, "message": str(why)}
        told.append(one)
    return told


def are_needed(scope: Scope) -> bool:
    """Whether the service needs any pool."""
    return bool(_needed(scope))


def absence(scope: Scope) -> RayConnectionError | None:
    """Why a pool that the service needs is not ready; None when all are."""
    reasons = (_absence(pool._core) for pool in _needed(scope))
    return next((why for why in reasons if why is not None), None)


class _PoolMiddleware:
    """ASGI, for requests and WebSockets of a service that needs ``pools``."""

    def __init__(self, app: ASGIApp, pools: tuple[ConnectionPool, ...]) -> None:
        self._app = app
        self._pools = pools

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        scope[_KEY] = (*_needed(scope), *self._pools)

        async def explain(error: BaseException) -> RayConnectionError | None:
            return _explain(scope, error)

        await answered(self._app, scope, receive, send, explain)


def _explain(scope: Scope, error: BaseException) -> RayConnectionError | None:
    if told := connection_error(error):
        return told
    return absence(scope) if isinstance(error, Exception) and is_rays(error) else None


@asynccontextmanager
async def _open(pools: tuple[ConnectionPool, ...], wait_s: float) -> AsyncIterator[None]:
    ours = []
    try:
        for pool in pools:
            was_open = pool._is_open
            pool.open()
            if not was_open:
                ours.append(pool)
        if wait_s > 0:
            await asyncio.gather(*(_filled(pool, wait_s) for pool in pools))
        yield
    finally:
        await asyncio.gather(*(asyncio.to_thread(pool.close) for pool in ours))


async def _filled(pool: ConnectionPool, wait_s: float) -> None:
    try:
        # ConnectionPool.wait closes a pool that is not filled in time.
        await asyncio.to_thread(pool._core.wait, wait_s)
    except RayConnectionError as error:
        _log.warning("serving without it for now: %s", error)


def _needed(scope: Scope) -> tuple[ConnectionPool, ...]:
    pools: tuple[ConnectionPool, ...] = scope.get(_KEY, ())
    return pools


def _absence(core: _core.Pool) -> RayConnectionError | None:
    if why := core.absence():
        return why
    now = core.stats()
    if not now["pool_min"] or now["pool_available"] or now["pool_in_use"]:
        return None
    return RayConnectionError(
        f"Pool {core.name} to {core.address}: no connection is up yet",
        kind="not_ready",
        address=core.address,
    )
