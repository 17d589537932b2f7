"""Monitors that watch what is not ours, outlive their connection, or come in twos."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support.modes import MOSTLY_NATIVE
from tests.support.monitored import address_of, play

_OURS = """
from seedcore_ray import start_monitor, stop_monitor
def ours():
    return sorted(thread.name for thread in threading.enumerate()
                  if thread.name in ("seedcore-ray-monitor", "seedcore-ray-events"))
def settled(*wanted):
    # It is launched behind the caller's back, and one that was told to end may take a moment to.
    wanted = sorted(wanted)
    deadline = time.monotonic() + 20
    while ours() != wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    return ours()
"""
_ONE = ["seedcore-ray-monitor"]


def test_one_for_each_connection_and_none_without(ray_head: RayHead) -> None:
    told = play(
        _OURS
        + """
one, seen = "seedcore-ray-monitor", {}
def look(when, *wanted):
    seen[when] = settled(*wanted)
look("before")
start_monitor(interval_s=0.02)
look("asked for, not connected")
ensure_ray_initialized()
look("connected", one)
for number in range(3):
    start_monitor(interval_s=0.02)
look("asked for again", one)
ensure_ray_initialized(force_reinit=True)
look("made anew", one)
stop_monitor(), stop_monitor()
look("stopped")
ensure_ray_initialized(force_reinit=True)
look("stopped, and made anew")
start_monitor(interval_s=0.02)
look("started on the live one", one)
shutdown_ray()
look("shut down")
ensure_ray_initialized()
look("connected again", one)
report(seen=seen, generation=seedcore_ray.generation(), state=state())
""",
        RAY_ADDRESS=ray_head.gcs_address,
    )
    none = {"before", "asked for, not connected", "stopped", "stopped, and made anew", "shut down"}
    for when, threads in told["seen"].items():
        assert threads == ([] if when in none else _ONE), when
    assert told["generation"] == 4 and told["state"] == "connected"


def test_none_when_the_environment_says_so(ray_head: RayHead) -> None:
    told = play(
        _OURS
        + """
ensure_ray_initialized()
report(off=ours())
start_monitor()
report(on=settled("seedcore-ray-monitor"))
""",
        RAY_ADDRESS=ray_head.gcs_address,
        SEEDCORE_RAY_HEALTH_INTERVAL_S="0",
    )
    assert told["off"] == [] and told["on"] == _ONE


def test_none_for_a_connection_that_somebody_else_made(ray_head: RayHead) -> None:
    told = play(
        _OURS
        + """
import ray
ray.init(sys.argv[1], logging_level="ERROR")
ensure_ray_initialized()
start_monitor(interval_s=0.02), start_monitor(interval_s=0.02)
report(mode=held()["mode"], threads=ours(), said=logged("WARNING"))
ensure_ray_initialized(sys.argv[1], force_reinit=True)
report(ours=[held()["mode"], settled("seedcore-ray-monitor")])
""",
        ray_head.gcs_address,
    )
    assert told["mode"] == "adopted" and told["threads"] == []
    assert told["said"] == [
        "the monitor watches only connections that this process made through us"
    ]
    assert told["ours"] == ["native", _ONE], "now it is ours"


def test_none_in_a_worker(ray_head: RayHead) -> None:
    told = play(
        """
import ray
ensure_ray_initialized()
def work():
    import threading
    import seedcore_ray
    ok = seedcore_ray.ensure_ray_initialized()
    seedcore_ray.start_monitor(interval_s=0.02)
    seedcore_ray.ensure_ray_initialized(force_reinit=True)
    names = [thread.name for thread in threading.enumerate()]
    seedcore_ray.stop_monitor()
    return [ok, [name for name in names if name.startswith("seedcore")]]
@ray.remote(num_cpus=0)
class Actor:
    def work(self):
        return work()
actor = Actor.remote()
report(task=ray.get(ray.remote(work).options(num_cpus=0).remote()),
       actor=ray.get(actor.work.remote()))
""",
        RAY_ADDRESS=ray_head.gcs_address,
    )
    assert told["task"] == told["actor"] == [True, []]


@pytest.mark.soak
def test_none_for_a_cluster_of_our_own() -> None:
    told = play(
        _OURS
        + """
start_monitor(interval_s=0.02)
ensure_ray_initialized("local", num_cpus=1, include_dashboard=False)
start_monitor(interval_s=0.02)
report(state=state(), threads=ours())
""",
        deadline_s=90,
    )
    assert told["state"] == "connected" and told["threads"] == []


def test_none_for_a_stand_in() -> None:
    told = play(
        _OURS
        + """
import types
up = []
sys.modules["ray"] = types.SimpleNamespace(
    init=lambda **kwargs: up.append(1), is_initialized=lambda: bool(up), shutdown=up.clear)
start_monitor(interval_s=0.02)
report(ok=ensure_ray_initialized("fake-head:6379"))
start_monitor(interval_s=0.02)
report(threads=ours())
"""
    )
    assert told["ok"] and told["threads"] == []


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_none_in_a_forked_child_and_no_callbacks_either(ray_head: RayHead, mode: str) -> None:
    told = play(
        _OURS
        + """
from seedcore_ray import on_event
heard = []
on_event(lambda event: heard.append(event.name))
start_monitor(interval_s=0.005)
ensure_ray_initialized()
await_true(lambda: heard)
def body():
    before = len(heard)
    ensure_ray_initialized(), is_ray_available(), ensure_ray_initialized(force_reinit=True)
    start_monitor(interval_s=0.005)
    return [ours(), len(heard) - before, held()["state"]]
report(children=[told_by_child(body) for _ in range(10)])
answers = is_ray_available()
report(parent=[ours(), state(), answers])
""",
        RAY_ADDRESS=address_of(ray_head, mode),
    )
    for child in told["children"]:
        assert child == [[], 0, "failed"]
    assert told["parent"] == [["seedcore-ray-events", *_ONE], "connected", True]


def test_one_in_a_child_that_connects_by_itself(ray_head: RayHead) -> None:
    told = play(
        _OURS
        + """
from seedcore_ray import on_event
heard = []
on_event(lambda event: heard.append(event.name))
ensure_ray_initialized("127.0.0.1:1", connect_timeout_s=0)  # what runs callbacks is there
await_true(lambda: heard)
start_monitor(interval_s=0.02)
def body():
    first = ours()
    ok = ensure_ray_initialized()
    await_true(lambda: len(heard) > 1)
    return [first, ok, settled("seedcore-ray-events", "seedcore-ray-monitor"), heard]
report(child=told_by_child(body), parent=[ours(), heard])
""",
        RAY_ADDRESS=ray_head.gcs_address,
    )
    first, ok, threads, heard = told["child"]
    assert first == [] and ok and heard == ["failed", "connected"]
    # What was asked for before a server forked its workers holds for each of them.
    assert threads == ["seedcore-ray-events", *_ONE]
    assert told["parent"] == [["seedcore-ray-events"], ["failed"]]
