"""What happens to the head, and to whom."""

from __future__ import annotations

import time
from functools import partial
from itertools import product
from typing import Any

from chaos.machines import MACHINES
from chaos.scenario import FOUR, SIX, WHO, Scenario, end_at, look_back
from chaos.services import Blocked, Mode, Service
from chaos.stage import Stage

BLOCKED: tuple[Blocked, ...] = ("main", "thread", "executor")
BUSY: tuple[Blocked, ...] = ("reader", "asker", "exporter")
RELEASES = ("auto", "always", "never")
LEAVES = ("exit", "raise", "SIGINT", "SIGTERM")

# On one head, in the network that this process is in.
Day = Scenario[Stage]
_day = partial(Day, on=Stage)
_SILENT = partial(Stage, silent=True)


def _come_back(stage: Stage, after_s: float, alive_s: float = 0.0) -> None:
    """The head is back; the services go to work, then look at what they had."""
    stage.until(after_s)
    stage.restart()
    look_back(stage)
    end_at(stage, alive_s)


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
    stage.all_is_back()
    stage.head.thaw("gcs_server")
    stage.tell("work")
    look_back(stage)
    end_at(stage, 75)


def _silent(stage: Stage, back_s: float) -> None:
    stage.silence()
    stage.until(back_s)
    stage.sound()
    stage.tell("work")
    look_back(stage)
    end_at(stage, 75)


def _twice(stage: Stage) -> None:
    stage.stop_head()
    stage.until(10)
    stage.restart("first")
    time.sleep(15)
    stage.stop_head("second")
    stage.until(10, since="second")
    stage.restart()
    look_back(stage)
    end_at(stage, 75)


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


def _leaving(mode: Mode, after_s: float) -> Day:
    return _day(
        f"exit-{after_s:.0f}-{mode}",
        f"{after_s:g} s after the GCS was killed",
        partial(_leave, after_s=after_s),
        services=_leavers(mode),
        table="exits",
        wait_s=75,
    )


def _busy(blocked: Blocked) -> tuple[Service, ...]:
    ours = (Service("ours", "native", blocked, release) for release in ("auto", "always"))
    return (Service("bare", "native", blocked), *ours)


SCENARIOS: tuple[Scenario[Any], ...] = (
    *(
        _day(
            f"restart-{after}",
            f"head restarted, down for {after} s",
            partial(_head_stopped, back_s=after),
            # What the timeline shows.
            services=SIX if after == 20 else FOUR,
        )
        for after in (5, 20, 45, 90)
    ),
    _day(
        "gcs-killed", "`gcs_server` killed, new head after 120 s", partial(_gcs_killed, back_s=120)
    ),
    _day(
        "head-stopped",
        "whole head stopped, new head after 120 s",
        partial(_head_stopped, back_s=120),
    ),
    _day("twice", "head down for 10 s, and soon after that again", _twice),
    _day("raylet-killed", "`raylet` killed, new head after 75 s", _raylet_killed),
    _day("proxier-killed", "Ray Client's proxy killed, new head after 75 s", _proxier_killed),
    _day("gcs-frozen", "GCS frozen for 25 s (SIGSTOP, then SIGCONT)", _frozen),
    _day("silence-25", "network silent for 25 s", partial(_silent, back_s=25), on=_SILENT),
    _day("silence-90", "network silent for 90 s", partial(_silent, back_s=90), on=_SILENT),
    _day("blocked-native", "", _left_alone, services=_blocked("native"), table="blocked"),
    _day("blocked-client", "", _left_alone, services=_blocked("client"), table="blocked"),
    _day("reader", "", _reading, services=_busy("reader"), table="readers"),
    _day("asker-20", "after 20 s", _reading, services=_busy("asker"), table="askers"),
    *(
        _day(
            f"{who}-120",
            "after 120 s",
            partial(_reading, back_s=120),
            services=_busy(who),
            table="askers",
        )
        for who in BUSY
    ),
    _day("asker", "none", _left_alone, services=_busy("asker"), table="askers"),
    # While the connection ails, while Ray is being released, and while a head is waited for.
    *(_leaving("native", after_s) for after_s in (6, 40.5, 52)),
    _leaving("client", 6),
    _day("fork", "", _fork, table="forks"),
    *MACHINES,
)
