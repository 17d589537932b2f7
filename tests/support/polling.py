"""Waiting for a fact, with a deadline and a name for what did not come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SOON_S = 10.0
"""Far more than what comes at once takes, on a machine that is busy with other things; far less
than the waits of 30 s and more that would be there if it did not."""


def wait_until(
    predicate: Callable[[], T], deadline_s: float, what: str, every_s: float = 0.02
) -> T:
    """The first true value of ``predicate``, or ``TimeoutError`` with ``what`` was awaited."""
    give_up = time.monotonic() + deadline_s
    while not (value := predicate()):
        if time.monotonic() > give_up:
            raise TimeoutError(f"not within {deadline_s:g} s: {what}")
        time.sleep(every_s)
    return value
