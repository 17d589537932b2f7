"""``deep=True``: the control plane answers and no task comes back: noticed, said, recovered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from seedcore_ray.testing import RayHead
from tests.support.modes import MOSTLY_NATIVE
from tests.support.monitored import address_of
from tests.support.scenario import start

_DEEP = """
from monitoring import *
import ray
seedcore_ray.on_event(hear)
assert ensure_ray_initialized()
# A task's first worker has to be started.
ray.get(ray.remote(lambda: None).options(num_cpus=0).remote())
await_true(lambda: "connected" in names())
report(before=[names(), state()])
os.environ["SEEDCORE_RAY_INIT_TIMEOUT_S"] = "4"  # what a task may take
seedcore_ray.start_monitor(interval_s=0.1, misses=2, deep=True)
"""
_END = """
await_true(lambda: "unhealthy" in names())
time.sleep(2)  # twice the grace: who answers is not lost
ill = [state(), is_connected(), ensure_ray_initialized(), names()]
report(ill=ill, said=logged("WARNING"))
mark("ill")
sys.stdin.readline()
heal()
await_true(lambda: "recovered" in names(), 60)
report(well=[state(), is_ray_available(), ray.get(ray.remote(lambda: 42).remote(), timeout=60)])
await_true(lambda: "connected" == state())
report(names=names(), generation=seedcore_ray.generation(), errors=logged("ERROR"))
"""
# Tasks that wait for what no node has; the one that is out is cancelled in the end.
_NOWHERE = """
remote, out = ray.remote, []
class Nowhere:
    def __init__(self, function):
        self.function = remote(function)
    def options(self, **options):
        self.function = self.function.options(resources={"nowhere": 1}, **options)
        return self
    def remote(self):
        out.append(self.function.remote())
        return out[-1]
ray.remote = Nowhere
def heal():
    ray.remote = remote
    for ref in out:
        ray.cancel(ref)
"""
_FROZEN = """
mark("watched")
sys.stdin.readline()
heal = lambda: None
"""


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_tasks_that_nobody_runs(ray_head: RayHead, mode: str) -> None:
    told = _play(_DEEP + _NOWHERE + _END, address_of(ray_head, mode))
    _check(told)


@pytest.mark.soak
def test_a_raylet_that_freezes_and_thaws(own_head: RayHead) -> None:
    told = _play(
        _DEEP + _FROZEN + _END,
        own_head.gcs_address,
        lambda: own_head.freeze("raylet"),
        lambda: own_head.thaw("raylet"),
    )
    _check(told)


def _play(source: str, address: str, *between: Callable[[], None]) -> dict[str, Any]:
    env = {"RAY_ADDRESS": address, "SEEDCORE_RAY_LOSS_GRACE_S": "1"}
    with start(source, env=env) as program:
        if between:
            program.wait_for_mark("watched")
            between[0]()
            program.tell("they are out")
        program.wait_for_mark("ill")
        for heal in between[1:]:
            heal()
        program.tell("they come back")
        return program.finish(90).ok().fields


def _check(told: dict[str, Any]) -> None:
    assert told["before"] == [["connected"], "connected"]
    state, answers, connected, names = told["ill"]
    assert state == "unhealthy" and names == ["connected", "unhealthy"]
    # The control plane answers, and the connection is the one to go on with.
    assert answers and connected
    assert any("a trivial task does not come back: not within 4 s" in line for line in told["said"])
    assert told["well"] == ["connected", True, 42]
    assert told["names"] == ["connected", "unhealthy", "recovered"]
    assert told["generation"] == 1 and told["errors"] == []
