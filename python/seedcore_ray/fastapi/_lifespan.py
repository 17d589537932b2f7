"""``ray_lifespan``: connects when the service starts, disconnects when it ends."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from typing import TYPE_CHECKING, Any, Literal, get_args

from seedcore_ray._async_api import _LEFT_OUT
from seedcore_ray.fastapi._middleware import RayMiddleware
from seedcore_ray.fastapi._supervisor import OnReady, Supervisor

if TYPE_CHECKING:
    from starlette.types import ASGIApp

_WhileUnhealthy = Literal["refuse", "try"]
Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


def ray_lifespan(
    *,
    on_ready: OnReady | None = None,
    wait_s: float = 10.0,
    lifespan: Lifespan | None = None,
    monitor: Mapping[str, Any] | None = None,
    while_unhealthy: _WhileUnhealthy = "refuse",
    ray_address: str | None = None,
    ray_namespace: str | None = _LEFT_OUT,
    **init_kwargs: Any,
) -> Lifespan:
    """A lifespan for ``FastAPI(lifespan=...)`` and ``Starlette(lifespan=...)`` that keeps Ray.

    At startup it begins to connect, on other threads than the event loop's, and calls ``on_ready``
    once connected. A cluster that is away fails no startup: after ``wait_s`` the service begins to
    answer, and goes on connecting for as long as it runs. When a connection is lost, requests that
    need Ray are answered with 503 and ``Retry-After`` until it is back and ``on_ready`` has been
    called again. At the end it closes the connection, unless that was there before.

    Args:
        on_ready: makes what needs Ray: called with the app, after the first connect and again after
            each reconnect, since what was made before is dead then. A plain function runs on a
            thread, so that it may block; a coroutine function on the event loop. What it returns is
            ``app.state.ray`` (None in between) and the value of ``require_ray``. When it raises,
            that is logged, and it is called again a little later.
        wait_s: how long startup waits for Ray and ``on_ready``, in seconds; 0 does not wait. A
            server that is told to stop meanwhile stops after that.
        lifespan: the app's own, entered before Ray and left after it. What it yields is passed on.
            To have it the other way round, write ``async with ray_lifespan()(app):`` within it.
        monitor: arguments of ``start_monitor``. Requests that a release breaks off are answered.
        while_unhealthy: for requests that need Ray while the state is ``unhealthy``, since the
            cluster has stopped answering or a part of it does not work. ``"refuse"``: 503 at once.
            ``"try"``: they begin all the same, and end with an answer, or with 503 at the loss;
            ``/readyz`` still says 503.
        ray_address, ray_namespace, **init_kwargs: as for ``ensure_ray_initialized``.

    Raises:
        TypeError, ValueError: for a mistake in the call.
        RayConnectionError: at startup, of kind ``forked``: this process was forked from one that
            had connected. Nothing can make Ray work here.
    """
    check_wait(wait_s)
    if while_unhealthy not in get_args(_WhileUnhealthy):
        raise ValueError(f'while_unhealthy is "refuse" or "try", not {while_unhealthy!r}')
    asked: dict[str, Any] = {"ray_address": ray_address, "init_kwargs": init_kwargs or None}
    if ray_namespace is not _LEFT_OUT:
        asked["ray_namespace"] = ray_namespace

    @asynccontextmanager
    async def manage(app: Any) -> AsyncIterator[Any]:
        async with lifespan(app) if lifespan else nullcontext() as state:
            tries = while_unhealthy == "try"
            supervisor = Supervisor(app, on_ready, asked, dict(monitor or {}), tries)
            with installed(app, lambda bare: RayMiddleware(bare, supervisor)):
                async with supervisor.running(wait_s):
                    yield state

    return manage


def check_wait(wait_s: float) -> None:
    """Raise ``TypeError`` or ``ValueError`` for what is no time to wait at startup."""
    if not isinstance(wait_s, (int, float)):
        raise TypeError(f"wait_s is a number of seconds, not {type(wait_s).__name__}")
    if not (math.isfinite(wait_s) and wait_s >= 0):
        raise ValueError(f"wait_s has to be 0 or more seconds, not {wait_s}")


@contextmanager
def installed(app: Any, around: Callable[[ASGIApp], ASGIApp]) -> Iterator[None]:
    """Put ours between the app's middleware and its routes, so that theirs sees a 503.

    ``add_middleware`` is refused once the app has started, which is before its lifespan runs.
    """
    router = getattr(app, "router", app)
    bare = router.middleware_stack
    router.middleware_stack = around(bare)
    try:
        yield
    finally:
        router.middleware_stack = bare
