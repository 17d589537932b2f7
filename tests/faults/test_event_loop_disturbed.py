"""Connecting on an event loop: asyncio, uvloop and anyio, cancelled, closed, and never held up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from seedcore_ray.testing import RayHead
from tests.faults.stuck import stuck
from tests.support import SOON_S, SilentListener, closed_port, wait_until
from tests.support.modes import MOSTLY_NATIVE
from tests.support.scenario import play, run, start

LOOPS = ("asyncio", "uvloop", "anyio on asyncio", "anyio on uvloop")

_LOOPS = """
import asyncio, gc, logging
gc.disable()  # a full collection is a gap of its own, and not of our making
from seedcore_ray import (connect_async, ensure_ray_initialized_async, ensure_runtime_ready,
                          wait_for_ray_ready_async)
def run_on(loop, main, *args):
    if loop.startswith("anyio"):
        import anyio
        return anyio.run(main, *args, backend="asyncio",
                         backend_options={"use_uvloop": loop.endswith("uvloop")})
    if loop == "uvloop":
        import uvloop
        return uvloop.run(main(*args))
    return asyncio.run(main(*args))

class Beat:
    # How long the loop did not run, at the longest, and at what time.
    async def __aenter__(self):
        self.gaps, self.on = [], True
        self.task = asyncio.create_task(self.run())
        await asyncio.sleep(0.02)
        return self
    async def run(self):
        before = time.monotonic()
        while self.on:
            await asyncio.sleep(0.001)
            now = time.monotonic()
            self.gaps.append(now - before - 0.001)
            before = now
    @property
    def longest(self):
        return max(self.gaps)
    async def __aexit__(self, *_):
        self.on = False
        await self.task
"""

_COUNT = """
import ray
inits = count_inits()
"""


def _address(head: RayHead, mode: str) -> str:
    return head.gcs_address if mode == "native" else head.client_address


@pytest.mark.parametrize("loop", LOOPS)
def test_every_twin_connects_on_every_loop(ray_head: RayHead, loop: str) -> None:
    told = play(
        _LOOPS
        + _COUNT
        + """
async def main():
    first = await connect_async()
    report(connect=first, ensure=await ensure_ray_initialized_async(),
           ready=await ensure_runtime_ready(), waited=await wait_for_ray_ready_async(5),
           awaited=await ray.remote(lambda: 42).remote())
run_on(sys.argv[1], main)
shutdown_ray()
async def other_order():
    # A second loop of the same process, each twin as the first.
    report(second=[await wait_for_ray_ready_async(20)])
run_on(sys.argv[1], other_order)
report(inits=len(inits))
""",
        loop,
        RAY_ADDRESS=ray_head.gcs_address,
    )
    assert told["connect"] is None
    assert told["ensure"] and told["ready"] and told["waited"] and told["second"] == [True]
    assert told["awaited"] == 42 and told["inits"] == 2


@pytest.mark.parametrize("loop", LOOPS)
def test_every_twin_fails_on_every_loop(loop: str) -> None:
    told = play(
        _LOOPS
        + """
os.environ["SEEDCORE_RAY_CONNECT_TIMEOUT_S"] = "0"
async def main():
    try:
        await connect_async()
        kind = None
    except seedcore_ray.RayConnectionError as error:
        kind = error.kind
    report(kind=kind, ensure=await ensure_ray_initialized_async(),
           ready=await ensure_runtime_ready(), waited=await wait_for_ray_ready_async(0.2))
run_on(sys.argv[1], main)
""",
        loop,
        RAY_ADDRESS=f"127.0.0.1:{closed_port()}",
    )
    assert told["kind"] == "refused"
    assert not (told["ensure"] or told["ready"] or told["waited"])


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_sixty_four_tasks_share_one_init_and_one_cancelled_harms_no_other(
    ray_head: RayHead, mode: str
) -> None:
    told = play(
        _LOOPS
        + _COUNT
        + """
async def main():
    twins = [ensure_runtime_ready, ensure_ray_initialized_async, connect_async,
             wait_for_ray_ready_async]
    tasks = [asyncio.create_task(twins[n % 4]()) for n in range(64)]
    await asyncio.sleep(0)
    # The one that leads, one in the middle and the last.
    doomed = [tasks[0], tasks[33], tasks[63]]
    for task in doomed:
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    cancelled = [type(answers[tasks.index(task)]).__name__ for task in doomed]
    kept = [answer for task, answer in zip(tasks, answers) if task not in doomed]
    report(cancelled=cancelled, kept=[answer in (True, None) for answer in kept],
           inits=len(inits), task=await ray.remote(lambda: 42).remote())
asyncio.run(main())
report(said=[logged("WARNING"), logged("ERROR")])
""",
        RAY_ADDRESS=_address(ray_head, mode),
    )
    assert told["cancelled"] == ["CancelledError"] * 3
    assert told["kept"] == [True] * 61
    assert (told["inits"], told["task"], told["said"]) == (1, 42, [[], []])


def test_cancelling_all_calls_the_flight_off() -> None:
    with SilentListener() as silent:
        told = play(
            _LOOPS
            + """
async def main():
    tasks = [asyncio.create_task(ensure_ray_initialized_async(sys.argv[1])) for _ in range(64)]
    while held()["state"] != "connecting":
        await asyncio.sleep(0.001)
    for task in tasks[1:]:
        task.cancel()
    await asyncio.sleep(0.3)
    report(one_left=held()["state"])
    tasks[0].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    report(answers=sorted({type(answer).__name__ for answer in answers}))
    began = time.monotonic()
    while held()["state"] == "connecting" and time.monotonic() - began < 30:
        await asyncio.sleep(0.001)
    report(state=held()["state"], seconds=time.monotonic() - began)
    return began
began = asyncio.run(main())
running = lambda: [t.name for t in threading.enumerate() if "connect" in t.name]
while running() and time.monotonic() - began < 30:  # it ends after it has told everybody
    time.sleep(0.001)
report(threads=running(), said=logged("ERROR"), error=error())
""",
            silent.address,
        )
    assert told["one_left"] == "connecting" and told["answers"] == ["CancelledError"]
    assert told["state"] == "idle" and told["seconds"] < SOON_S
    assert told["threads"] == [] and told["error"] is None
    assert told["said"] == [], "nobody is told of a connect that nobody wanted any more"


def _undisturbed(play_once: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a program reports whose loop did not stand still.

    A gap that is the machine's own passes: the program is played again. One of ours does not pass.
    """
    longest = []
    for _ in range(4):
        told = play_once()
        longest.append(told["longest"])
        # 20 ms is what a quiet machine shows; a loop that we hold stands still for whole waits.
        if told["longest"] < 0.2:
            return told
    pytest.fail(f"the loop stood still for {longest} s")


@pytest.mark.parametrize("phase", ["refused", "probe", "client init", "native init"])
def test_the_loop_is_not_held_up_while_the_network_is_waited_for(phase: str) -> None:
    source = (
        _LOOPS
        + """
import ray
async def main():
    calls = [asyncio.create_task(ensure_ray_initialized_async(sys.argv[1], connect_timeout_s=3))
             for _ in range(64)]
    # What ray.init does before the peer holds it, it does under the interpreter's lock.
    await asyncio.sleep(1.5)
    async with Beat() as beat:
        calls += [asyncio.create_task(ensure_runtime_ready()),
                  asyncio.create_task(wait_for_ray_ready_async(2))]
        report(answers=sum(await asyncio.gather(*calls)))
        report(longest=beat.longest)
asyncio.run(main())
os._exit(0)
"""
    )

    def played() -> dict[str, Any]:
        with SilentListener() as silent, stuck(phase.split()[0]) as (_, stuck_address):
            address = {"refused": f"127.0.0.1:{closed_port()}", "probe": silent.address}.get(
                phase, stuck_address
            )
            env = {"SEEDCORE_RAY_INIT_TIMEOUT_S": "3", "SEEDCORE_RAY_CONNECT_TIMEOUT_S": "2"}
            return run(source, address, env={**env, "RAY_ADDRESS": address}).ok().fields

    assert _undisturbed(played)["answers"] == 0


def test_two_loops_in_two_threads_with_different_libraries(ray_head: RayHead) -> None:
    told = play(
        _LOOPS
        + _COUNT
        + """
answers = []
async def main():
    return await asyncio.gather(*(ensure_ray_initialized_async() for _ in range(8)))
def on(loop):
    answers.extend(run_on(loop, main))
threads = [threading.Thread(target=on, args=[loop]) for loop in ("asyncio", "uvloop")]
for thread in threads: thread.start()
for thread in threads: thread.join(50)
report(answers=answers, inits=len(inits))
""",
        RAY_ADDRESS=ray_head.gcs_address,
    )
    assert told["answers"] == [True] * 16 and told["inits"] == 1


@pytest.mark.parametrize("how", ["closed", "stopped", "dropped"])
@pytest.mark.parametrize("library", ["asyncio", "uvloop"])
def test_a_loop_that_ends_mid_connect_leaves_nothing_behind(library: str, how: str) -> None:
    with SilentListener() as silent:
        ended = run(
            _LOOPS
            + """
import uvloop
def play(make, how):
    loop = make()
    async def leave():
        # Held, as a framework holds its background tasks.
        tasks.extend(asyncio.create_task(ensure_ray_initialized_async()) for _ in range(8))
        while held()["state"] != "connecting":
            await asyncio.sleep(0)
    tasks = []
    loop.run_until_complete(leave())
    if how == "closed":
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.close()
    elif how == "stopped":
        # Closed over the heads of its tasks; they are kept until the end.
        loop.close()
        kept.append(tasks)
    # Else it is dropped as it is, while our side still wants to answer to it.
kept = []
play({"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}[sys.argv[1]], sys.argv[2])
while held()["state"] == "connecting":
    time.sleep(0.01)  # until the probes' time is up: their answers find no loop
report(state=held()["state"])
""",
            library,
            how,
            env={
                "RAY_ADDRESS": silent.address,
                "SEEDCORE_RAY_PROBE_TIMEOUT_S": "0.3",
                "SEEDCORE_RAY_CONNECT_TIMEOUT_S": "0.6",
            },
        )
    # asyncio's own complaint about tasks that were dropped is the program's fault.
    assert ended.rc == 0, ended.told()
    for bad in ("Traceback", "panicked", "Exception ignored"):
        assert bad not in ended.stderr, ended.told()
    assert ended.fields["state"] in ("idle", "failed")


def test_a_loop_goes_on_while_another_thread_connects_blocking() -> None:
    with stuck("client") as (peer, address):
        source = (
            _LOOPS
            + """
import ray
async def main():
    thread = threading.Thread(target=ensure_ray_initialized, daemon=True)
    thread.start()
    sys.stdin.read()
    async with Beat() as beat:
        tasks = [asyncio.create_task(ensure_ray_initialized_async()) for _ in range(8)]
        await asyncio.sleep(1)
        report(longest=beat.longest)
        for task in tasks:
            task.cancel()
asyncio.run(main())
os._exit(0)
"""
        )

        def played() -> dict[str, Any]:
            peer.held.clear()
            with start(source, env={"RAY_ADDRESS": address}) as program:
                wait_until(peer.held.is_set, 60, "ray.init to hang")
                program.close_stdin()
                return program.finish(60).ok().fields

        _undisturbed(played)
