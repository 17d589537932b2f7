"""The async twin: made once for all tasks, and the loop goes on meanwhile."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support.scenario import play

_LOOP = """
import asyncio, types
from seedcore_ray import RayNotReadyError, lazy
async def outcome(awaitable):
    try:
        return await awaitable
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""
_STAND_IN = (
    _LOOP
    + """
sys.modules["ray"] = types.SimpleNamespace(is_initialized=lambda: True)
"""
)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "anyio"])
def test_thirty_two_tasks_make_one_and_the_loop_goes_on(loop: str) -> None:
    told = play(
        _STAND_IN
        + """
told = {}
async def make_async():
    made.append(threading.current_thread() is threading.main_thread())
    await asyncio.sleep(0.2)
    return "value"
def make():
    made.append(threading.current_thread() is threading.main_thread())
    time.sleep(0.2)
    return "value"
async def beat():
    while True:
        beats.append(1)
        await asyncio.sleep(0.01)
async def main():
    global made, beats
    beating = asyncio.create_task(beat())
    for factory in (make, make_async, lambda: make_async()):
        value, made, beats = lazy(factory), [], []
        values = await asyncio.gather(*(value.aget() for _ in range(32)))
        told[str(len(told))] = [values, made, len(beats), value.get(), await value.aget()]
    beating.cancel()
loop = sys.argv[1]
if loop == "uvloop":
    import uvloop
    uvloop.run(main())
elif loop == "anyio":
    import anyio
    anyio.run(main)
else:
    asyncio.run(main())
report(**told)
""",
        loop,
    )
    for number, on_main in (("0", False), ("1", True), ("2", True)):
        values, made, beats, again, awaited = told[number]
        assert values == ["value"] * 32 and made == [on_main]
        assert beats >= 5 and again == awaited == "value"


def test_each_connection_has_its_own_also_for_tasks(ray_head: RayHead) -> None:
    told = play(
        _LOOP
        + """
import ray
@ray.remote
class Echo:
    def say(self, word):
        return word
closed = []
async def find():
    return Echo.remote()
echo = lazy(find, "echo", on_close=closed.append)
from seedcore_ray import ensure_ray_initialized_async
async def main():
    early = await outcome(echo.aget())
    await ensure_ray_initialized_async()
    handles, words = [], []
    for number in range(2):
        tasks = await asyncio.gather(*(echo.aget() for _ in range(8)))
        handles.append(len({id(task) for task in tasks}))
        words.append(await echo.say.remote(number))
        await ensure_ray_initialized_async(force_reinit=True)
    report(early=early, handles=handles, words=words, closed=len(closed))
asyncio.run(main())
try:
    echo.get()
except RuntimeError as error:
    report(sync=str(error))
""",
        RAY_ADDRESS=ray_head.gcs_address,
    )
    assert told["early"].startswith("RayNotReadyError: echo is not ready")
    assert told["handles"] == [1, 1] and told["words"] == [0, 1] and told["closed"] == 1
    assert "await aget()" in told["sync"]


def test_a_factory_that_raises_or_is_cancelled_leaves_the_turn_to_the_next() -> None:
    told = play(
        _STAND_IN
        + """
calls = []
async def make():
    calls.append(1)
    await asyncio.sleep(0.05)
    if len(calls) < 3:
        raise OSError(f"try {len(calls)}")
    return "value"
async def for_ever_at_first():
    calls.append(1)
    if len(calls) == 1:
        await asyncio.Event().wait()
    return "value"
def stop():
    raise StopIteration("nothing left")
gate = threading.Event()
plain_calls = []
def plain():
    plain_calls.append(1)
    gate.wait(20)
    return "plain"
async def main():
    value = lazy(make)
    told = {"raised": sorted(await asyncio.gather(*(outcome(value.aget()) for _ in range(6))))}
    told["stop"] = await outcome(lazy(stop).aget())
    # An async factory is cancelled with its caller; the next one makes the value.
    calls.clear()
    value = lazy(for_ever_at_first)
    first = asyncio.create_task(value.aget())
    while not calls:
        await asyncio.sleep(0.01)
    second = asyncio.create_task(value.aget())
    await asyncio.sleep(0.05)
    first.cancel()
    told["cancelled"] = [await second, first.cancelled(), len(calls)]
    # A plain one goes on, and what it makes is kept.
    value = lazy(plain)
    first = asyncio.create_task(value.aget())
    while not plain_calls:
        await asyncio.sleep(0.01)
    second = asyncio.create_task(value.aget())
    first.cancel()
    await asyncio.sleep(0.05)
    gate.set()
    told["kept"] = [await second, len(plain_calls), first.cancelled()]
    report(**told)
asyncio.run(main())
""",
    )
    assert told["raised"] == ["OSError: try 1", "OSError: try 2", *["value"] * 4]
    assert told["stop"].startswith("RuntimeError") and "StopIteration" in told["stop"]
    assert told["cancelled"] == ["value", True, 2]
    assert told["kept"] == ["plain", 1, True]


def test_who_would_block_the_loop_that_makes_it_is_told() -> None:
    told = play(
        _STAND_IN
        + """
gate = None
async def make():
    await gate.wait()
    return "value"
async def itself():
    return await own.aget()
def itself_on_a_thread():
    return threaded.get()
own, threaded = lazy(itself, "own"), lazy(itself_on_a_thread, "threaded")
async def refused(use):
    try:
        use()
    except RuntimeError as error:
        return str(error)
async def main():
    global gate
    gate = asyncio.Event()
    value = lazy(make, "value")
    making = asyncio.create_task(value.aget())
    await asyncio.sleep(0.1)
    blocked = await refused(value.get)
    elsewhere = asyncio.create_task(asyncio.to_thread(value.get))
    await asyncio.sleep(0.1)
    gate.set()
    report(blocked=blocked, after=[await making, await elsewhere, value.get()],
           own=await outcome(own.aget()), threaded=await outcome(threaded.aget()))
asyncio.run(main())
"""
    )
    assert told["blocked"].startswith("value would wait for itself") and "aget" in told["blocked"]
    assert told["after"] == ["value"] * 3
    for name in ("own", "threaded"):
        assert told[name].startswith(f"RuntimeError: {name} would wait for itself")


def test_a_thread_that_waits_for_a_task_uses_up_nobodys_threads() -> None:
    """As many waiters as asyncio's executor has threads, and the maker comes first."""
    told = play(
        _STAND_IN
        + """
from concurrent.futures import ThreadPoolExecutor
async def main():
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(2))
    value = lazy(lambda: time.sleep(0.3) or "value")
    making = asyncio.create_task(value.aget())
    await asyncio.sleep(0)
    waiting = [asyncio.to_thread(value.get) for _ in range(4)]
    report(values=await asyncio.wait_for(asyncio.gather(making, *waiting), 20))
asyncio.run(main())
"""
    )
    assert told["values"] == ["value"] * 5
