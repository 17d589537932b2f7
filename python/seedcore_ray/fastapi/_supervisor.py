"""Keeps one app supplied with Ray: connects, calls ``on_ready``, and does both again after a loss.

All of it runs on the app's event loop. Whether Ray is there is not remembered here but asked of the
core, which knows it first; events only say that it is worth asking again.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from seedcore_ray import _core, _events
from seedcore_ray._async_api import connected_within
from seedcore_ray._errors import RayConnectionError
from seedcore_ray.fastapi import _unavailable
from seedcore_ray.fastapi._request_scope import Use

OnReady = Callable[[Any], Any]

_log = logging.getLogger("seedcore_ray.fastapi")

_LONG_S = 86_400.0
"""One connect waits that long: it tells of its trouble once, and goes on quietly."""
_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
"""After a failure that waiting alone does not cure; doubles."""
_TICK_S = 5.0
"""Somebody may shut Ray down without an event."""
_LOOKS, _BETWEEN_LOOKS_S = 4, 0.25
"""How often a cluster has to answer to be believed that it is not about to die."""


class Keeper:
    """The supply of one app."""

    def __init__(
        self,
        app: Any,
        on_ready: OnReady | None,
        asked: dict[str, Any],
        monitor: dict[str, Any],
    ) -> None:
        """``asked`` is for ``_core.attempt``, ``monitor`` for ``start_monitor``."""
        self.changes = 0
        """Counts what has happened to the connection and to what ``on_ready`` made."""
        self.uses: set[Use] = set()
        """What ends with the connection."""
        self._app = app
        self._on_ready = on_ready
        self._asked = asked
        self._monitor = monitor
        self._made_for = 0
        self._trouble = "has not finished yet"
        self._ailing: RayConnectionError | None = None
        self._news = asyncio.Event()
        self._ready = asyncio.Event()
        self._look: asyncio.Task[bool] | None = None

    # -- what others ask

    @property
    def value(self) -> Any:
        """What ``on_ready`` made."""
        return self._app.state.ray

    def absence(self) -> RayConnectionError | None:
        """Why nothing that needs Ray can be done now; None when it can."""
        now = _core.connection()
        if now.state != "connected":
            return _unavailable.reason(now, self._ailing)
        if now.generation == self._made_for:
            return None
        return RayConnectionError(
            f"connected to {now.address}, but on_ready {self._trouble}",
            kind="not_ready",
            address=now.address or "",
            retry_after_s=_PAUSE_S,
        )

    async def doubt(self) -> RayConnectionError | None:
        """Something of Ray has failed while the connection seemed to hold: does it?

        The parts of a head die one after the other, and the monitor looks only now and then.

        Returns:
            Why not, or None when the cluster goes on answering.
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
    async def at_work(self, wait_s: float) -> AsyncIterator[None]:
        """Keep the app supplied; at first wait for that, for at most ``wait_s`` seconds."""
        self._app.state.ray = None
        held_before = _core.connection().state in ("connected", "unhealthy")
        loop = asyncio.get_running_loop()

        def hear(event: _core.Event) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._note, event)

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
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._news.wait(), _TICK_S)

    async def _connect(self) -> None:
        pause = _PAUSE_S
        while True:
            try:
                return await connected_within(_LONG_S, **self._asked)
            except RayConnectionError as error:
                if error.kind == "forked":
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _make(self, generation: int) -> None:
        """Call ``on_ready`` until it has done its work, or the connection is another one."""
        pause = _PAUSE_S
        self._trouble = "has not finished yet"
        while True:
            use = Use(self)
            use.needs_ray()
            try:
                self._app.state.ray = await self._call_on_ready()
            except BaseException as error:
                if await use.explain(error, needed_ray=use.over()) is None:
                    if not isinstance(error, Exception):
                        raise
                    _log.exception("on_ready failed; calling it again in %.0f s", pause)
                self._trouble = f"failed with {type(error).__name__}: see the log"
            else:
                use.over()
                break
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
            if _core.connection().state != "connected" or _core.generation() != generation:
                return
        self._made_for = generation
        self.changes += 1
        self._ready.set()

    async def _call_on_ready(self) -> Any:
        if self._on_ready is None:
            return None
        if inspect.iscoroutinefunction(self._on_ready):
            return await self._on_ready(self._app)
        made = await asyncio.to_thread(self._on_ready, self._app)
        return await made if inspect.isawaitable(made) else made

    def _note(self, event: _core.Event) -> None:
        self.changes += 1
        self._ailing = event.cause if event.name == "unhealthy" else None
        if event.name in ("lost", "connected", "reconnected"):
            # Told a little late: what was begun on a newer connection has nothing to do with it.
            last = event.generation if event.name == "lost" else event.generation - 1
            self._end_all(last, event.cause or _unavailable.interrupted(event.address))
        self._news.set()

    def _end_all(self, last: int, lost: RayConnectionError) -> None:
        """What belongs to the connections up to that one is over."""
        if self._made_for <= last:
            self._app.state.ray = None
        for use in [use for use in self.uses if use.generation <= last]:
            use.end(lost)


async def _look_in_a_moment() -> bool:
    await asyncio.sleep(_BETWEEN_LOOKS_S)
    return await _core.answers_future(0)
