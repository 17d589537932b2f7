"""Callbacks that raise, hang, die, come late or call back in: what they hear, whom they harm."""

from __future__ import annotations

from seedcore_ray.testing import RayHead
from tests.support.monitored import play
from tests.support.scenario import run

# Events cost a refused port each. In a namespace of its own: the breaker answers for a target that
# it knows, and nothing happens.
_HAPPEN = """
from itertools import count
from seedcore_ray import off_event, on_event
fresh = count()
def happen(times=1):
    for _ in range(times):
        assert not ensure_ray_initialized("127.0.0.1:1", f"n{next(fresh)}", connect_timeout_s=0)
"""


def test_what_happens_is_heard_in_order_by_one_at_a_time() -> None:
    told = play(
        _HAPPEN
        + """
inside, most, threads, first, second = 0, 0, set(), [], []
def hears(into):
    def hear(event):
        global inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.002)
        threads.add(threading.current_thread().name)
        into.append(event)
        inside -= 1
    return hear
happen()  # before anybody listens
quiet = [thread.name for thread in threading.enumerate()]
on_event(hears(first)), on_event(hears(second))
callers = [threading.Thread(target=happen, args=[15]) for _ in range(4)]
for caller in callers: caller.start()
for caller in callers: caller.join()
ensure_ray_initialized("127.0.0.1:2", connect_timeout_s=0)
await_true(lambda: second and second[-1].address == "127.0.0.1:2")
times = [event.at for event in first]
report(quiet=quiet, most=most, threads=sorted(threads), heard=[len(first), len(second)],
       same=[a is b for a, b in zip(first, second)].count(True), in_order=times == sorted(times),
       names=sorted({event.name for event in first}),
       kinds=sorted({event.cause.kind for event in first}), text=repr(first[0]))
"""
    )
    # Nothing lost, nothing twice, and nothing of what was before.
    assert told["heard"] == [61, 61] and told["same"] == 61
    assert told["in_order"] and told["most"] == 1
    assert told["threads"] == ["seedcore-ray-events"]
    assert "seedcore-ray-events" not in told["quiet"], "no thread while nobody listens"
    assert told["names"] == ["failed"] and told["kinds"] == ["refused"]
    assert told["text"] == "Event(failed, 127.0.0.1:1, generation=0)"


def test_an_async_callback_runs_on_the_loop_that_it_was_registered_on() -> None:
    told = play(
        _HAPPEN
        + """
import asyncio
home, heard = None, []
async def hear(event):
    mine = asyncio.get_running_loop()
    await asyncio.sleep(0.01)
    heard.append([mine is home, threading.current_thread() is threading.main_thread()])
class Callable:
    async def __call__(self, event):
        await hear(event)
async def main():
    global home
    home = asyncio.get_running_loop()
    on_event(hear), on_event(Callable()), on_event(lambda event: hear(event))
    await asyncio.to_thread(happen, 2)
    while len(heard) < 6:
        await asyncio.sleep(0.005)
asyncio.run(main())
report(on_its_loop=list(heard))
heard.clear()
happen()
await_true(lambda: len(heard) >= 3)
report(after_its_end=heard, problems=logged("ERROR", "callback"))
"""
    )
    assert told["on_its_loop"] == [[True, True]] * 6
    # A loop that is closed runs nothing any more: the callback gets one of its own.
    assert told["after_its_end"] == [[False, False]] * 3
    assert told["problems"] == []


def test_an_async_callback_without_a_loop_gets_one() -> None:
    told = play(
        _HAPPEN
        + """
import asyncio
heard = []
@on_event
async def hear(event):
    await asyncio.sleep(0)
    heard.append(threading.current_thread().name)
happen(2)
await_true(lambda: len(heard) >= 2)
report(heard=heard, decorated=hear.__name__)
"""
    )
    assert told["heard"] == ["seedcore-ray-events"] * 2 and told["decorated"] == "hear"


def test_a_loop_that_ends_meanwhile_holds_nobody_up_for_long() -> None:
    told = play(
        _HAPPEN
        + """
import asyncio
heard = []
async def main():
    entered = asyncio.Event()
    async def never(event):
        entered.set()
        await asyncio.Event().wait()
    on_event(never), on_event(lambda event: heard.append(event.name))
    await asyncio.to_thread(happen)
    await asyncio.wait_for(entered.wait(), 20)
asyncio.run(main())
began = time.monotonic()
await_true(lambda: heard)
report(seconds=time.monotonic() - began, problems=len(logged("ERROR", "a callback for")))
"""
    )
    assert told["seconds"] < 20 and told["problems"] == 1


def test_a_bound_method_goes_with_its_object() -> None:
    told = play(
        _HAPPEN
        + """
import gc, weakref
heard = []
class Service:
    def __init__(self, name):
        self.name = name
    def hear(self, event):
        heard.append(self.name)
    @classmethod
    def of_class(cls, event):
        heard.append("class")
stays, goes, left = Service("stays"), Service("goes"), Service("left")
for service in (stays, goes, left):
    on_event(service.hear)
on_event(Service.of_class)
happen()
await_true(lambda: len(heard) >= 4)
report(first=list(heard))
watched = weakref.ref(goes)
del goes, service
gc.collect()
off_event(left.hear)  # another object than the one that was registered, and equal to it
heard.clear()
happen()
await_true(lambda: len(heard) >= 2)
happen()
await_true(lambda: len(heard) >= 4)
report(gone=watched() is None, then=heard, problems=logged("ERROR", "callback"))
"""
    )
    assert told["first"] == ["stays", "goes", "left", "class"]
    assert told["gone"] and told["then"] == ["stays", "class"] * 2
    assert told["problems"] == []


def test_one_that_raises_is_logged_and_the_others_hear() -> None:
    told = play(
        _HAPPEN
        + """
import asyncio
heard = []
def divides(event): 1 / 0
def leaves(event): sys.exit(5)
async def fails(event): raise LookupError("async")
async def cancels(event): raise asyncio.CancelledError
for bad in (divides, leaves, fails, cancels):
    on_event(bad)
    on_event(lambda event: heard.append(event.name))
happen(2)
await_true(lambda: len(heard) >= 8)
said = [record for record in records if record.name == "seedcore_ray.events"]
report(heard=len(heard), levels=sorted({record.levelname for record in said}),
       texts=sorted({record.getMessage() for record in said}),
       raised=[record.exc_info[0].__name__ for record in said])
"""
    )
    assert told["heard"] == 8
    assert told["levels"] == ["ERROR"]
    assert told["texts"] == ["a callback for Event(failed, 127.0.0.1:1, generation=0) failed"]
    each = ["ZeroDivisionError", "SystemExit", "LookupError", "CancelledError"]
    assert told["raised"] == each * 2


def test_one_that_hangs_holds_up_nobody_but_the_other_callbacks(ray_head: RayHead) -> None:
    ended = run(
        """
import re
from monitoring import *
from seedcore_ray import metrics_text, on_event
import ray
heard, hung = [], threading.Event()
@on_event
def hangs(event):
    heard.append(event.name)
    hung.set()
    threading.Event().wait()
def looks():
    found = re.search(r'probe_duration_seconds_count{outcome="answered"} (\\d+)', metrics_text())
    return int(found[1]) if found else 0
seedcore_ray.start_monitor(interval_s=0.05)
assert ensure_ray_initialized()
assert hung.wait(20)
before = looks()
await_true(lambda: looks() >= before + 5)
again, seconds = timed(ensure_ray_initialized, force_reinit=True)
before = looks()
await_true(lambda: looks() >= before + 5)
down, shutdown_s = timed(shutdown_ray)
report(heard=heard, again=again, state=state(), seconds=seconds + shutdown_s)
sys.exit(3)
""",
        env={"RAY_ADDRESS": ray_head.gcs_address},
    )
    assert ended.rc == 3, ended.told()
    told = ended.fields
    assert told["heard"] == ["connected"] and told["again"] and told["state"] == "idle"
    assert told["seconds"] < 40


def test_from_within_a_callback_everything_may_be_called() -> None:
    told = play(
        _HAPPEN
        + """
heard = []
def late(event):
    heard.append(["late", event.generation])
def once(event):
    heard.append(["once", 0])
    off_event(once)
    on_event(late)
    happen()  # makes an event, which comes when this one has been heard
    shutdown_ray()
    heard.append(["once, in the end", state()])
on_event(once)
happen()
await_true(lambda: len(heard) >= 3)
happen()
await_true(lambda: len(heard) >= 4)
off_event(late), off_event(late), off_event(print)
happen()
on_event(lambda event: heard.append(["last", 0]))
happen()
await_true(lambda: ["last", 0] in heard)
report(heard=heard, problems=logged("ERROR", "callback"))
"""
    )
    assert [name for name, _ in told["heard"]] == [
        *("once", "once, in the end", "late", "late"),
        "last",
    ]
    assert told["heard"][1][1] == "idle" and told["problems"] == []


def test_what_waits_for_a_slow_one_is_for_those_who_listened_when_it_happened() -> None:
    told = play(
        _HAPPEN
        + """
heard, hung, go_on = [], threading.Event(), threading.Event()
@on_event
def slow(event):
    hung.set()
    go_on.wait()
left = lambda event: heard.append(["left", event.address])
on_event(left)
happen()
assert hung.wait(20)
happen()
off_event(left)
on_event(lambda event: heard.append(["late", event.address]))
go_on.set()
ensure_ray_initialized("127.0.0.1:2", connect_timeout_s=0)
await_true(lambda: heard and heard[-1][1] == "127.0.0.1:2")
report(heard=heard)
"""
    )
    assert told["heard"] == [["late", "127.0.0.1:2"]]


def test_what_is_no_callable_is_refused() -> None:
    told = play(
        _HAPPEN
        + """
said = []
for wrong in (None, 5, "hear", object(), [print]):
    try:
        on_event(wrong)
    except TypeError as error:
        said.append(str(error))
happen()
report(said=said, threads=[thread.name for thread in threading.enumerate()])
"""
    )
    names = ["NoneType", "int", "str", "object", "list"]
    assert told["said"] == [f"on_event takes a callable, not {name}" for name in names]
    assert "seedcore-ray-events" not in told["threads"], "nobody listens"


def test_interrupted_while_registering_by_who_registers() -> None:
    told = play(
        _HAPPEN
        + """
import gc, signal
heard = []
def hear(event):
    heard.append(event.name)
class Service:
    # In a cycle, so that the collector ends it: at any allocation, and so in the midst of ours.
    def __init__(self):
        self.me = self
        on_event(self.hear)
    def hear(self, event):
        pass
    def __del__(self):
        off_event(self.hear)
rings = 0
def ring(number, frame):
    global rings
    rings += 1
    on_event(hear), off_event(hear)
    if rings < 500:
        signal.setitimer(signal.ITIMER_REAL, 0.0005)
kept = lambda event: heard.append("kept")
on_event(kept)
signal.signal(signal.SIGALRM, ring)
ring(0, None)
gc.set_threshold(1)
while rings < 500:
    Service()
gc.set_threshold(700)
gc.collect()
happen()
await_true(lambda: heard)
report(heard=heard)
"""
    )
    assert told["heard"] == ["kept"]
