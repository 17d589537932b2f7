"""For the programs of this folder, beside ``kit``: what happened to the connection, and waiting."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import __main__
import seedcore_ray

__all__ = [
    "await_state",
    "await_true",
    "hear",
    "heard",
    "in_child",
    "names",
    "native_threads",
    "state",
    "words",
]

heard: list[dict[str, Any]] = []
"""Each event, with the state that was seen when it was delivered."""


def hear(event: seedcore_ray.Event) -> None:
    """A callback that keeps and reports what it hears."""
    heard.append(
        {
            "name": event.name,
            "generation": event.generation,
            "kind": event.cause.kind if event.cause else None,
            "after_s": event.after_s,
            "at": event.at,
        }
    )
    __main__.report(heard=heard)


def names() -> list[str]:
    """The names of what was heard, in order."""
    return [event["name"] for event in heard]


def state() -> str:
    """The state of the connection."""
    return seedcore_ray.connection().state


def await_true(predicate: Callable[[], object], deadline_s: float = 240.0) -> None:
    """Wait until it is, or raise."""
    end = time.monotonic() + deadline_s
    while not predicate():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {deadline_s:g} s; state {state()}, heard {names()}")
        time.sleep(0.01)


def await_state(*wanted: str, deadline_s: float = 240.0) -> None:
    """Wait until the connection is in one of these states."""
    await_true(lambda: state() in wanted, deadline_s)


def native_threads() -> int:
    """How many threads this process has, whoever started them."""
    return len(list(Path("/proc/self/task").iterdir()))


def in_child(code: int) -> tuple[int | None, float]:
    """Fork a child that leaves through ``sys.exit(code)``: its exit code, and the seconds."""
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        raise SystemExit(code)
    while time.monotonic() < began + 20:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status), time.monotonic() - began
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None, 20.0


def words(error: BaseException) -> str:
    """The type of an error, and its kind where it has one."""
    kind = getattr(error, "kind", None)
    return type(error).__name__ + (f"({kind})" if kind else "")
