"""Many at once, factories that raise, that ask for themselves, that never end."""

from __future__ import annotations

import signal

import pytest

from seedcore_ray.testing import RayHead
from tests.support import SOON_S
from tests.support.scenario import play, start


@pytest.mark.parametrize("mode", ["native", "client"])
def test_thirty_two_threads_make_one(ray_head: RayHead, mode: str) -> None:
    told = play(
        """
        import ray
        from seedcore_ray import lazy
        @ray.remote
        class Counter:
            def __init__(self):
                self.count = 0
            def up(self):
                self.count += 1
                return self.count
        made = []
        def make():
            made.append(threading.get_ident())
            time.sleep(0.3)
            return Counter.remote()
        counter = lazy(make)
        assert ray.init(sys.argv[1])  # somebody else's connection counts
        start, seen = threading.Barrier(32), []
        def use():
            start.wait()
            seen.append(ray.get(counter.up.remote()))
        threads = [threading.Thread(target=use) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        report(made=len(made), seen=sorted(seen), same=counter.get() is counter.get(),
               ready=ray.get(counter.__ray_ready__.remote()), generation=held()["generation"])
        """,
        ray_head.gcs_address if mode == "native" else ray_head.client_address,
    )
    assert told["made"] == 1 and told["seen"] == list(range(1, 33))
    assert told["same"] and told["ready"] and told["generation"] == 1


# From here on, what counts is who waits for whom: Ray's part is to say that it is connected.
_STAND_IN = """
import types
from seedcore_ray import lazy
sys.modules["ray"] = types.SimpleNamespace(is_initialized=lambda: True)
def in_threads(count, use):
    outcomes = []
    def run():
        try:
            outcomes.append(use())
        except Exception as error:
            outcomes.append(f"{type(error).__name__}: {error}")
    threads = [threading.Thread(target=run, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(outcomes) == count, outcomes
    return sorted(outcomes)
"""


def test_a_factory_that_raises_is_tried_in_turn_and_never_side_by_side() -> None:
    told = play(
        _STAND_IN
        + """
calls, at_once, most = [], [0], [0]
def make():
    at_once[0] += 1
    most[0] = max(most[0], at_once[0])
    calls.append(1)
    mine = len(calls)
    time.sleep(0.05)
    at_once[0] -= 1
    if mine < 4:
        raise OSError(f"try {mine}")
    return "value"
outcomes = in_threads(8, lazy(make).get)
report(outcomes=outcomes, calls=len(calls), most=most[0])
"""
    )
    assert told["outcomes"] == [*(f"OSError: try {n}" for n in (1, 2, 3)), *["value"] * 5]
    assert told["calls"] == 4 and told["most"] == 1


def test_whoever_would_wait_for_themselves_is_told() -> None:
    told = play(
        _STAND_IN
        + """
def refused(use):
    try:
        use()
    except RuntimeError as error:
        return str(error)
itself = lazy(lambda: itself.get(), "itself")
one = lazy(lambda: two.get(), "one")
two = lazy(lambda: one.upper(), "two")
# The same two from two threads, each of which has one of them by the time it wants the other.
met, here = threading.Barrier(2), []
def meet(other):
    here.append(1)
    if len(here) <= 2:
        met.wait(10)
    return other().get()
left = lazy(lambda: meet(lambda: right), "left")
right = lazy(lambda: meet(lambda: left), "right")
outcomes = []
def use(lazy):
    outcomes.append(refused(lazy.get))
threads = [threading.Thread(target=use, args=(each,), daemon=True) for each in (left, right)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(60)
# One that is used while it is made elsewhere is not refused: the factory needs nobody.
slow = lazy(lambda: time.sleep(0.2) or "slow")
nested = lazy(slow.upper)
report(itself=refused(itself.get), again=refused(itself.get), ring=refused(one.get),
       crossed=outcomes, nested=in_threads(6, nested.get))
"""
    )
    for text in (told["itself"], told["again"], told["ring"], *told["crossed"]):
        assert "would wait for itself" in text
    assert told["itself"].startswith("itself") and told["ring"].startswith("one")
    assert len(told["crossed"]) == 2
    assert told["nested"] == ["SLOW"] * 6


def test_ctrl_c_ends_the_wait_and_not_the_making() -> None:
    with start(
        _STAND_IN
        + """
go = threading.Event()
slow = lazy(lambda: mark("making") or go.wait(30) and "value", "slow")
maker = threading.Thread(target=slow.get)
maker.start()
while "made anew" in repr(slow):
    time.sleep(0.01)
try:
    mark("waiting")
    slow.get()
except KeyboardInterrupt:
    at = time.monotonic()
    go.set()
    maker.join()
    report(interrupted=True, at=at, value=slow.get())
"""
    ) as program:
        program.wait_for_mark("making")
        program.wait_for_mark("waiting")
        sent = program.signal(signal.SIGINT)
        told = program.finish(60).ok().fields
    assert told["interrupted"] and told["at"] - sent < SOON_S
    assert told["value"] == "value"


def test_an_interrupted_factory_leaves_the_turn_to_the_next() -> None:
    with start(
        _STAND_IN
        + """
calls = []
def make():
    calls.append(1)
    if len(calls) == 1:
        mark("making")
        time.sleep(30)
    return "value"
slow = lazy(make)
try:
    slow.get()
except KeyboardInterrupt:
    report(value=slow.get(), calls=len(calls))
"""
    ) as program:
        program.wait_for_mark("making")
        program.signal(signal.SIGINT)
        told = program.finish(60).ok().fields
    assert told == {"value": "value", "calls": 2}


@pytest.mark.parametrize("where", ["factory", "property", "call"])
def test_a_process_ends_while_a_daemon_thread_is_in_there(where: str) -> None:
    with start(
        _STAND_IN
        + """
class Slow:
    def __init__(self):
        self.stay("factory")
    @property
    def slow(self):
        self.stay("property")
    def __call__(self):
        self.stay("call")
    def stay(self, here):
        if here == sys.argv[1]:
            mark("in there")
            time.sleep(600)
manager = lazy(Slow)
use = {"factory": manager.get, "property": lambda: manager.slow, "call": manager}[sys.argv[1]]
threading.Thread(target=use, daemon=True).start()
sys.stdin.read()
""",
        where,
    ) as program:
        program.wait_for_mark("in there")
        program.close_stdin()
        ended = program.finish(60)
    assert ended.rc == 0, ended.told()
