"""Keeps one app supplied with Ray: connects, calls ``on_ready``, and does both again after a loss.

All of it runs on the app's event loop. Whether Ray can be used is not remembered here but asked of
the core, which knows first; an event only says that it is time to ask again.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from seedcore_ray import _core, _events
from seedcore_ray._async_api import connected_within
from seedcore_ray._errors import RayConnectionError
from seedcore_ray.fastapi import _exception_origin, _unavailable
from seedcore_ray.fastapi._request_scope import RequestScope

OnReady = Callable[[Any], Any]

_log = logging.getLogger("seedcore_ray.fastapi")

_CONNECT_S = 86_400.0
"""The limit of one connect. Such a long one logs its failure once and goes on quietly."""
_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
"""After a failure that waiting alone does not cure; doubles."""
_TICK_S = 5.0
"""Ray may be shut down without an event."""
_LOOKS, _BETWEEN_LOOKS_S = 4, 0.25
"""How often a cluster has to answer until it is taken to be alive."""


class Supervisor:
    """The supervisor of one app."""

    def __init__(
        self,
        app: Any,
        on_ready: OnReady | None,
        asked: dict[str, Any],
        monitor: dict[str, Any],
        tries_unhealthy: bool = False,
    ) -> None:
        """``asked`` is for ``_core.attempt``, ``monitor`` for ``start_monitor``.

        ``tries_unhealthy``: requests go on to use a connection whose cluster does not answer.
        """
        self._app = app
        self._on_ready = on_ready
        self._asked = asked
        self._monitor = monitor
        self._tries_unhealthy = tries_unhealthy
        self._changes = 0  # of the connection, and of what on_ready made
        self._dependents: set[RequestScope] = set()  # they end with the connection
        self._made_for = 0
        self._trouble = "has not finished yet"
        self._unhealthy: RayConnectionError | None = None
        self._news = asyncio.Event()
        self._ready = asyncio.Event()
        self._look: asyncio.Task[bool] | None = None

    # -- for requests

    @property
    def value(self) -> Any:
        """What ``on_ready`` made."""
        return self._app.state.ray

    def absence(self) -> RayConnectionError | None:
        """Why nothing that needs Ray can be done now; None when it can."""
        now = _core.connection()
        if absence := _unavailable.reason(now, self._unhealthy):
            return absence
        if now.generation == self._made_for:
            return None
        return RayConnectionError(
            f"connected to {now.address}, but on_ready {self._trouble}",
            kind="not_ready",
            address=now.address or "",
            retry_after_s=_PAUSE_S,
        )

    def refusal(self) -> RayConnectionError | None:
        """Why a request that needs Ray is not begun now; None when it is."""
        if self._tries_unhealthy:
            now = _core.connection()
            if now.state == "unhealthy" and now.generation == self._made_for:
                return None
        return self.absence()

    def begin(self) -> RequestScope:
        """Begin a request on the current task."""
        return RequestScope(self._changes)

    def needs_ray(self, request: RequestScope) -> None:
        """Cancel the request when the connection of now is lost."""
        self._dependents.add(request)

    def finish(self, request: RequestScope) -> bool:
        """End a request, also one that has raised. Returns whether it needed Ray."""
        needed = request in self._dependents
        self._dependents.discard(request)
        request.uncancel()
        return needed

    async def explain(
        self, request: RequestScope, error: BaseException
    ) -> RayConnectionError | None:
        """Finish a request that has raised.

        What Ray raises says little about its cause: the same ``RayActorError`` means that an actor
        has failed or that its cluster is gone. So the connection is asked.

        Returns:
            The absence of Ray that ``error`` comes from; None when it has another reason.
        """
        cause = await self._explain(request, error, self.finish(request))
        if cause is not None and cause is not error:
            _log.debug("%r comes from the absence of Ray: %s", error, cause)
        return cause

    async def _explain(
        self, request: RequestScope, error: BaseException, needed_ray: bool
    ) -> RayConnectionError | None:
        if told := request.lost or _exception_origin.connection_error(error):
            return told
        if _exception_origin.is_rays_exit(error):
            return self.absence() or _unavailable.interrupted("")
        is_rays = _exception_origin.is_rays(error)
        if not isinstance(error, Exception) or not (is_rays or needed_ray):
            return None
        if absence := self.absence():
            return absence
        if request.changes != self._changes or request.generation != _core.generation():
            return _unavailable.interrupted("")
        if is_rays or isinstance(error, (TimeoutError, asyncio.TimeoutError)):
            return await self._verify()
        return None

    async def _verify(self) -> RayConnectionError | None:
        """Whether the cluster is alive, after a failure of Ray on a connection that seems to hold.

        The parts of a head die one after the other, and the monitor looks only now and then.

        Returns:
            Why Ray cannot be used, or None when the cluster goes on answering.
        """
        for _ in range(_LOOKS):
            if self._look is None or self._look.done():
                self._look = asyncio.create_task(_look_in_a_moment())
            # Many requests fail together, and one of them may be cancelled.
            answers = await asyncio.shield(self._look)
            if absence := self.absence():
                return absence
            if not answers:
                return _unavailable.silence(_core.connection())
        return None

    # -- its work

    @asynccontextmanager
    async def running(self, wait_s: float) -> AsyncIterator[None]:
        """Keep the app supplied; at first wait for that, for at most ``wait_s`` seconds."""
        self._app.state.ray = None
        held_before = _core.connection().state in ("connected", "unhealthy")
        loop = asyncio.get_running_loop()

        def hear(event: _core.Event) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._on_event, event)

        _events.on_event(hear)
        work = loop.create_task(self._work())
        try:
            await self._until_ready(work, wait_s)
            yield
        finally:
            _events.off_event(hear)
            work.cancel()
            await asyncio.wait([work])
            self._app.state.ray = None
            if not held_before and _core.connection().mode != "adopted":
                await asyncio.to_thread(_core.shutdown_ray)

    async def _until_ready(self, work: asyncio.Task[None], wait_s: float) -> None:
        ready = asyncio.ensure_future(self._ready.wait())
        try:
            await asyncio.wait([work, ready], timeout=wait_s, return_when="FIRST_COMPLETED")
        finally:
            ready.cancel()
        if work.done():
            work.result()
        if wait_s and (absence := self.absence()):
            _log.warning("serving without Ray for now: %s", absence)

    async def _work(self) -> None:
        if _core.connection().mode != "adopted":
            _core.start_monitor(**self._monitor)
        while True:
            self._news.clear()
            await self._connect()
            now = _core.connection()
            if now.state == "connected" and now.generation != self._made_for:
                await self._make(now.generation)
            # Before Python 3.12, wait_for drops a cancellation that comes together with news.
            tick = asyncio.get_running_loop().call_later(_TICK_S, self._news.set)
            try:
                await self._news.wait()
            finally:
                tick.cancel()

    async def _connect(self) -> None:
        for pause in _pauses():
            try:
                return await connected_within(_CONNECT_S, **self._asked)
            except RayConnectionError as error:
                if error.kind == "forked":
                    raise
            await asyncio.sleep(pause)

    async def _make(self, generation: int) -> None:
        """Call ``on_ready`` until it has succeeded, or the connection is another one."""
        self._trouble = "has not finished yet"
        for pause in _pauses():
            scope = self.begin()
            self.needs_ray(scope)
            try:
                self._app.state.ray = await self._call_on_ready()
            except BaseException as error:
                if await self.explain(scope, error) is None:
                    if not isinstance(error, Exception):
                        raise
                    _log.exception("on_ready failed; calling it again in %.0f s", pause)
                self._trouble = f"failed with {type(error).__name__}: see the log"
            else:
                self.finish(scope)
                break
            await asyncio.sleep(pause)
            if _core.connection().state != "connected" or _core.generation() != generation:
                return
        self._made_for = generation
        self._changes += 1
        self._ready.set()

    async def _call_on_ready(self) -> Any:
        if self._on_ready is None:
            return None
        if inspect.iscoroutinefunction(self._on_ready):
            return await self._on_ready(self._app)
        made = await asyncio.to_thread(self._on_ready, self._app)
        return await made if inspect.isawaitable(made) else made

    def _on_event(self, event: _core.Event) -> None:
        self._changes += 1
        self._unhealthy = event.cause if event.name == "unhealthy" else None
        if event.name in ("lost", "connected", "reconnected"):
            # Events come a little late: a request on a newer connection is not affected.
            last = event.generation if event.name == "lost" else event.generation - 1
            # That of a connection that was made is why it is to another cluster.
            why = event.cause if event.name == "lost" else None
            self._cancel_up_to(last, why or _unavailable.interrupted(event.address))
        self._news.set()

    def _cancel_up_to(self, last: int, lost: RayConnectionError) -> None:
        """End what belongs to the connections up to that generation."""
        if self._made_for <= last:
            self._app.state.ray = None
        for request in [request for request in self._dependents if request.generation <= last]:
            request.cancel(lost)


def _pauses() -> Iterator[float]:
    pause = _PAUSE_S
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE_S)


async def _look_in_a_moment() -> bool:
    await asyncio.sleep(_BETWEEN_LOOKS_S)
    return await _core.answers_future(0)
