"""The record of one request, or of one call of ``on_ready``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from seedcore_ray import _core

if TYPE_CHECKING:
    from seedcore_ray._errors import RayConnectionError


class RequestScope:
    """Begins where it is made, on the task that is cancelled when the connection is lost.

    Attributes:
        generation: the connection that it began on.
        changes: the supervisor's ``changes`` when it began.
        lost: why it was cancelled; None unless it was.
    """

    __slots__ = ("_task", "changes", "generation", "lost")

    def __init__(self, changes: int) -> None:
        self.changes = changes
        self.generation = _core.generation()
        self.lost: RayConnectionError | None = None
        self._task = asyncio.current_task()

    def cancel(self, lost: RayConnectionError) -> None:
        """Cancel the task: the connection is lost, and what the task awaits may never come."""
        if self.lost is None and self._task is not None:
            self.lost = lost
            self._task.cancel()

    def uncancel(self) -> None:
        """Take back what ``cancel`` did to the task, which lives on."""
        if self.lost is not None and self._task is not None:
            # Since Python 3.11; before, a task does not count its cancellations.
            getattr(self._task, "uncancel", int)()
