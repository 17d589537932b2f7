"""One request, or one call of ``on_ready``: what it needs of Ray, and what has interrupted it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from seedcore_ray import _core
from seedcore_ray.fastapi import _exception_origin, _unavailable

if TYPE_CHECKING:
    from seedcore_ray._errors import RayConnectionError
    from seedcore_ray.fastapi._supervisor import Keeper

_log = logging.getLogger("seedcore_ray.fastapi")


class Use:
    """Begins where it is made, on the task that is cancelled when it has to end."""

    __slots__ = ("_changes", "_lost", "_task", "generation", "keeper")

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.generation = _core.generation()
        self._changes = keeper.changes
        self._task = asyncio.current_task()
        self._lost: RayConnectionError | None = None

    def needs_ray(self) -> None:
        """It cannot go on without the connection of now: it ends when that does."""
        self.keeper.uses.add(self)

    def end(self, lost: RayConnectionError) -> None:
        """The connection is lost. What it waits for may never come, so the wait is cancelled."""
        if self._lost is None and self._task is not None:
            self._lost = lost
            self._task.cancel()

    def over(self) -> bool:
        """It has come to its end, be it with an exception. Returns whether it needed Ray."""
        needed = self in self.keeper.uses
        self.keeper.uses.discard(self)
        if self._lost is not None and self._task is not None:
            # Not before Python 3.11; until then nobody counts.
            getattr(self._task, "uncancel", int)()
        return needed

    async def explain(self, error: BaseException, *, needed_ray: bool) -> RayConnectionError | None:
        """The absence of Ray that ``error`` comes from; None when it has another reason.

        What Ray raises says little about that: the same ``RayActorError`` means that an actor has
        failed or that its cluster is gone. So the connection is asked.
        """
        cause = await self._explain(error, needed_ray)
        if cause is not None and cause is not error:
            _log.debug("%r is for want of Ray: %s", error, cause)
        return cause

    async def _explain(self, error: BaseException, needed_ray: bool) -> RayConnectionError | None:
        if self._lost is not None:
            return self._lost
        if told := _exception_origin.connection_error(error):
            return told
        if _exception_origin.is_rays_exit(error):
            return self.keeper.absence() or _unavailable.interrupted("")
        if not isinstance(error, Exception):
            return None
        is_rays = _exception_origin.is_rays(error)
        if not (is_rays or needed_ray):
            return None
        if absence := self.keeper.absence():
            return absence
        if self._changes != self.keeper.changes or self.generation != _core.generation():
            return _unavailable.interrupted("")
        if is_rays or isinstance(error, (TimeoutError, asyncio.TimeoutError)):
            return await self.keeper.doubt()
        return None
