"""Processes that end at any moment of a connect, however they end: exit code kept, no crash.

With debug logging on and slow Python log handlers, since those are what an exit runs into.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from seedcore_ray.testing import RayHead
from tests.faults.stuck import MODES, stuck
from tests.support import GrpcPeer, ProgramResult, SilentListener, closed_port, wait_until
from tests.support.exits import CODES, CONNECTED_CODES, END, SLOW_LOGS, check
from tests.support.modes import MOSTLY_NATIVE
from tests.support.scenario import run, start

_AT_ONCE = 4
# Every program of the normal run, and the rest of the 300.
_FEW, _MANY = 30, 270

# Whoever waits, at the moment of the end: threads of both kinds, and tasks.
_WAITERS = """
import asyncio
from seedcore_ray import ensure_ray_initialized_async
def on_a_thread(daemon):
    def wait():
        try:
            ensure_ray_initialized(connect_timeout_s=1)
        except BaseException as error:
            print("raised", repr(error), file=sys.stderr, flush=True)
    threading.Thread(target=wait, daemon=daemon).start()
async def on_a_loop(seconds):
    tasks = [asyncio.create_task(ensure_ray_initialized_async()) for _ in range(3)]
    await asyncio.sleep(seconds)
def abandoned_loop(seconds):
    # Nobody closes it or cancels its tasks.
    loop = asyncio.new_event_loop()
    loop.run_until_complete(on_a_loop(seconds))
    globals()["kept"] = loop
who, seconds, how = sys.argv[1], float(sys.argv[2]), sys.argv[3]
if who == "thread":
    on_a_thread(daemon=False)
    time.sleep(seconds)
elif who == "daemon":
    on_a_thread(daemon=True)
    time.sleep(seconds)
elif who == "asyncio":
    asyncio.run(on_a_loop(seconds))
elif who == "loop thread":
    threading.Thread(target=abandoned_loop, args=[60], daemon=True).start()
    time.sleep(seconds)
else:
    abandoned_loop(seconds)
"""
_WHO = ("thread", "daemon", "asyncio", "loop thread", "abandoned loop")


@dataclass(frozen=True)
class _Exit:
    who: str
    how: str
    address: str
    after_s: float

    def play(self) -> ProgramResult:
        arguments = (self.who, f"{self.after_s:.3f}", self.how)
        env = {"RAY_ADDRESS": self.address}
        return run(SLOW_LOGS + _WAITERS + END, *arguments, env=env, deadline_s=60)


@contextmanager
def _addresses() -> Iterator[list[str]]:
    """Where a connect fails at once, waits for the network, or waits inside ``ray.init``."""
    with SilentListener() as silent, GrpcPeer.ray_client() as stuck:
        # Ray takes a second to import: three out of four are in our own hands all the time.
        yield [
            f"127.0.0.1:{closed_port()}",
            f"ray://127.0.0.1:{closed_port()}",
            silent.address,
            stuck.client_address,
        ]


def _check(exit_: _Exit, ended: ProgramResult) -> None:
    check(ended, exit_.how, CODES[exit_.how], exit_)
    # asyncio says it of any task on a loop that its program drops.
    assert "loop" in exit_.who or "was destroyed" not in ended.stderr, ended.told()


def _play(count: int, seed: int) -> None:
    chance = random.Random(seed)
    with _addresses() as addresses, ThreadPoolExecutor(_AT_ONCE) as pool:
        exits = [
            _Exit(
                who=_WHO[number % len(_WHO)],
                how=list(CODES)[number // len(_WHO) % len(CODES)],
                address=addresses[chance.randrange(len(addresses))],
                # Most of what happens, happens early.
                after_s=chance.random() ** 2 * 1.6,
            )
            for number in range(count)
        ]
        for exit_, ended in zip(exits, pool.map(_Exit.play, exits), strict=True):
            _check(exit_, ended)


@pytest.mark.timeout(180)
def test_thirty_exits_at_random_moments() -> None:
    _play(_FEW, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_rest_of_three_hundred_exits() -> None:
    _play(_MANY, seed=2)


_ABANDON = """
os.environ["SEEDCORE_RAY_INIT_TIMEOUT_S"] = "1"
how = sys.argv[1]
import ray
assert ensure_ray_initialized() is False
assert error()["kind"] == "init_timeout" and held()["state"] == "connecting"
"""


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_an_abandoned_ray_init(mode: str) -> None:
    with stuck(mode) as (_, address), ThreadPoolExecutor(_AT_ONCE) as pool:

        def play(how: str) -> ProgramResult:
            return run(SLOW_LOGS + _ABANDON + END, how, env={"RAY_ADDRESS": address})

        for how, ended in zip(CODES, pool.map(play, CODES), strict=True):
            _check(_Exit("main", how, mode, 0), ended)


@pytest.mark.parametrize("how", ["return", "sys.exit", "exception", "SIGTERM"])
@pytest.mark.parametrize("mode", MODES)
def test_a_connected_process(ray_head: RayHead, mode: str, how: str) -> None:
    address = ray_head.gcs_address if mode == "native" else ray_head.client_address
    source = SLOW_LOGS + 'how = sys.argv[1]\nassert ensure_ray_initialized()\nmark("up")\n' + END
    ended = run(source, how, env={"RAY_ADDRESS": address})
    check(ended, how, CONNECTED_CODES[how], mode)


def test_a_monitor_that_python_no_longer_starts(ray_head: RayHead) -> None:
    """From 3.12 on, no thread starts once the main one has ended; here on every Python."""
    source = """
from seedcore_ray import _monitor
def launch(monitor):
    raise RuntimeError("can't create new thread at interpreter shutdown")
_monitor.launch = launch
assert ensure_ray_initialized()
for each in threading.enumerate():
    if each.name == "seedcore-ray-connect":
        each.join(20)
"""
    ended = run(SLOW_LOGS + source, env={"RAY_ADDRESS": ray_head.gcs_address})
    check(ended, "return", 0, "native")


def test_an_exit_by_a_signal_from_outside_while_tasks_wait() -> None:
    source = """
import asyncio
from seedcore_ray import ensure_ray_initialized_async
async def main():
    tasks = [asyncio.create_task(ensure_ray_initialized_async()) for _ in range(8)]
    await asyncio.sleep(0)
    mark("waiting")
    await asyncio.gather(*tasks)
asyncio.run(main())
"""
    for number, code in ((signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL)):
        with SilentListener() as silent:
            with start(SLOW_LOGS + source, env={"RAY_ADDRESS": silent.address}) as program:
                program.wait_for_mark("waiting")
                wait_until(lambda: silent.accepted > 0, 60, "the probe")
                program.signal(number)
                ended = program.finish(60)
            assert ended.rc == code and "Traceback" not in ended.stderr, ended.told()
