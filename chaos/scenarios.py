"""What happens to the head, and to whom."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Literal

from chaos.services import Blocked, Mode, Service, Who
from chaos.stage import Stage

Table = Literal["outages", "blocked", "readers", "askers", "exits", "forks"]

WHO: tuple[Who, ...] = ("bare", "ours")
MODES: tuple[Mode, ...] = ("native", "client")
BLOCKED: tuple[Blocked, ...] = ("main", "thread", "executor")
BUSY: tuple[Blocked, ...] = ("reader", "asker", "exporter")
RELEASES = ("auto", "always", "never")
LEAVES = ("exit", "raise", "SIGINT", "SIGTERM")

FOUR = tuple(Service(who, mode) for mode, who in product(MODES, WHO))

_TASK_S = 45.0
_OLD_S = 20.0


@dataclass(frozen=True)
class Scenario:
    """A bad day."""

    key: str
    title: str
    play: Callable[[Stage], None]
    services: tuple[Service, ...] = FOUR
    table: Table = "outages"
    silent: bool = False
    wait_s: float = 20.0
    """How long a service may take to end once it is told to, or is left to itself."""


def _come_back(stage: Stage, after_s: float, alive_s: float = 0.0) -> None:
    """The head is back; the services go to work, then look at what they had."""
    stage.until(after_s)
    stage.restart()
    _look_back(stage)
    stage.until(alive_s)
    stage.tell("over")


def _look_back(stage: Stage) -> None:
    stage.await_said("task", _TASK_S)
    stage.tell("try the old")
    stage.await_said("tried the old", _OLD_S)


def _gcs_killed(stage: Stage, back_s: float) -> None:
    stage.kill("gcs_server")
    _come_back(stage, back_s)


def _raylet_killed(stage: Stage) -> None:
    stage.kill("raylet")
    stage.until(1)
    stage.tell("work")
    _come_back(stage, 75)


def _proxier_killed(stage: Stage) -> None:
    stage.kill("proxier")
    _come_back(stage, 75)


def _head_stopped(stage: Stage, back_s: float) -> None:
    stage.stop_head()
    # Ray's own deadline is a minute: who lives longer will live.
    _come_back(stage, back_s, alive_s=75)


def _frozen(stage: Stage) -> None:
    stage.happens("lost", partial(stage.head.freeze, "gcs_server"))
    stage.until(25)
    stage.moments["back native"] = stage.moments["back client"] = time.monotonic()
    stage.head.thaw("gcs_server")
    stage.tell("work")
    _look_back(stage)
    stage.until(75)
    stage.tell("over")


def _silent(stage: Stage, back_s: float) -> None:
    stage.silence()
    stage.until(back_s)
    stage.sound()
    stage.tell("work")
    _look_back(stage)
    stage.until(75)
    stage.tell("over")


def _twice(stage: Stage) -> None:
    stage.stop_head()
    stage.until(10)
    stage.restart("first")
    time.sleep(15)
    stage.stop_head("second")
    stage.until(10, since="second")
    stage.restart()
    _look_back(stage)
    stage.until(75)
    stage.tell("over")


def _left_alone(stage: Stage) -> None:
    stage.kill("gcs_server")
    # A Ray Client gives up 90 s after its GCS.
    stage.until(110)
    stage.tell("over")


def _reading(stage: Stage, back_s: float = 20) -> None:
    stage.kill("gcs_server")
    stage.until(back_s)
    stage.restart()
    time.sleep(15)  # a reconnect is tried every 5 s at least
    stage.tell("over")


def _leave(stage: Stage, after_s: float) -> None:
    stage.kill("gcs_server")
    stage.until(after_s)
    for running in stage.running:
        running.tell(running.service.leaves)


def _fork(stage: Stage) -> None:
    stage.moments["lost"] = time.monotonic()
    stage.tell("fork")
    stage.await_said("child ended", 40)
    stage.tell("work")
    stage.await_said("task", 20)
    stage.tell("over")


def _blocked(mode: Mode) -> tuple[Service, ...]:
    # Releasing a Ray Client ends its calls with an ordinary error, whatever `release` says.
    releases = RELEASES if mode == "native" else RELEASES[:1]
    ours = [Service("ours", mode, *how) for how in product(BLOCKED, releases)]
    return (*(Service("bare", mode, blocked) for blocked in BLOCKED), *ours)


def _leavers(mode: Mode) -> tuple[Service, ...]:
    return tuple(Service(who, mode, leaves=leaves) for leaves, who in product(LEAVES, WHO))


def _leaving(mode: Mode, after_s: float) -> Scenario:
    return Scenario(
        f"exit-{after_s:.0f}-{mode}",
        f"{after_s:g} s after the GCS was killed",
        partial(_leave, after_s=after_s),
        _leavers(mode),
        "exits",
        wait_s=75,
    )


def _busy(blocked: Blocked) -> tuple[Service, ...]:
    ours = (Service("ours", "native", blocked, release) for release in ("auto", "always"))
    return (Service("bare", "native", blocked), *ours)


SCENARIOS = (
    *(
        Scenario(
            f"restart-{after}",
            f"head restarted, down for {after} s",
            partial(_head_stopped, back_s=after),
        )
        for after in (5, 20, 45, 90)
    ),
    Scenario(
        "gcs-killed", "`gcs_server` killed, new head after 120 s", partial(_gcs_killed, back_s=120)
    ),
    Scenario(
        "head-stopped",
        "whole head stopped, new head after 120 s",
        partial(_head_stopped, back_s=120),
    ),
    Scenario("twice", "head down for 10 s, and soon after that again", _twice),
    Scenario("raylet-killed", "`raylet` killed, new head after 75 s", _raylet_killed),
    Scenario("proxier-killed", "Ray Client's proxy killed, new head after 75 s", _proxier_killed),
    Scenario("gcs-frozen", "GCS frozen for 25 s (SIGSTOP, then SIGCONT)", _frozen),
    Scenario("silence-25", "network silent for 25 s", partial(_silent, back_s=25), silent=True),
    Scenario("silence-90", "network silent for 90 s", partial(_silent, back_s=90), silent=True),
    Scenario("blocked-native", "", _left_alone, _blocked("native"), "blocked"),
    Scenario("blocked-client", "", _left_alone, _blocked("client"), "blocked"),
    Scenario("reader", "", _reading, _busy("reader"), "readers"),
    Scenario("asker-20", "after 20 s", _reading, _busy("asker"), "askers"),
    *(
        Scenario(f"{who}-120", "after 120 s", partial(_reading, back_s=120), _busy(who), "askers")
        for who in BUSY
    ),
    Scenario("asker", "none", _left_alone, _busy("asker"), "askers"),
    # While the connection ails, while Ray is being released, and while a head is waited for.
    *(_leaving("native", after_s) for after_s in (6, 40.5, 52)),
    _leaving("client", 6),
    Scenario("fork", "", _fork, table="forks"),
)
