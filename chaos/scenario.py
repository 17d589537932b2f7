"""A bad day: what happens, and to whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Generic, Literal, TypeVar

from chaos import network
from chaos.cast import Cast
from chaos.services import Mode, Service, Who

Table = Literal["outages", "machines", "blocked", "readers", "askers", "exits", "forks"]
C = TypeVar("C", bound=Cast)

WHO: tuple[Who, ...] = ("bare", "ours")
MODES: tuple[Mode, ...] = ("native", "client")

FOUR = tuple(Service(who, mode) for mode, who in product(MODES, WHO))
SIX = (*FOUR, *(Service("helper", mode) for mode in MODES))

_TASK_S = 45.0
# Of three calls.
_OLD_S = 3 * 18.0


@dataclass(frozen=True)
class Scenario(Generic[C]):
    """A bad day."""

    key: str
    title: str
    play: Callable[[C], None]
    on: Callable[[tuple[Service, ...], str], C]
    """What it is played on, from the services and the interpreter that runs them."""
    services: tuple[Service, ...] = FOUR
    table: Table = "outages"
    wait_s: float = 20.0
    """How long a service may take to end once it is told to, or is left to itself."""
    prefix: tuple[str, ...] = network.PREFIX
    """Runs a program where the scenario is to be played."""
    hindrance: Callable[[], str | None] = lambda: None
    """Why it cannot be played on this machine."""


def look_back(cast: Cast, task_s: float = _TASK_S) -> None:
    """The services are at work, for that long at most; then they look at what they had."""
    cast.await_said("task", task_s)
    cast.tell("try the old")
    cast.await_said("tried the old", _OLD_S)


def end_at(cast: Cast, seconds: float) -> None:
    """It is over, that long after the loss: what Ray ends, it has ended by then."""
    cast.until(seconds)
    cast.tell("over")
