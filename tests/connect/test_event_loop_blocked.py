"""On an event loop: the async twins do not block it, and a blocking call is bounded and told of."""

from __future__ import annotations

import signal

import pytest

from seedcore_ray.testing import RayHead
from tests.support import SOON_S, GrpcPeer, closed_port, wait_until
from tests.support.scenario import play, start

_ASYNC = """
import asyncio
from seedcore.utils.ray_connector import ensure_runtime_ready
from seedcore_ray._async_api import connect_async, ensure_ray_initialized_async
"""
_COUNT = """
import ray
inits = count_inits()
"""


@pytest.mark.parametrize("mode", ["native", "client"])
def test_tasks_and_threads_share_one_init(ray_head: RayHead, mode: str) -> None:
    told = play(
        _ASYNC
        + _COUNT
        + """
async def main():
    thread_said = []
    thread = threading.Thread(target=lambda: thread_said.append(ensure_ray_initialized()))
    thread.start()
    doomed = asyncio.create_task(ensure_runtime_ready())
    others = [asyncio.create_task(call()) for call in
              [ensure_runtime_ready, ensure_ray_initialized_async] * 20]
    await asyncio.sleep(0.05)
    doomed.cancel()
    answers = await asyncio.gather(*others)
    cancelled = (await asyncio.gather(doomed, return_exceptions=True))[0]
    await connect_async()
    again = [await ensure_runtime_ready() for _ in range(3)]
    thread.join(60)
    report(answers=answers, again=again, thread=thread_said, inits=len(inits),
           cancelled=type(cancelled).__name__,
           task=await asyncio.to_thread(lambda: ray.get(ray.remote(lambda: 42).remote())),
           awaited=await ray.remote(lambda: 43).remote())
asyncio.run(main())
report(said=len(logged("INFO")), problems=logged("WARNING") + logged("ERROR"))
""",
        RAY_ADDRESS=ray_head.gcs_address if mode == "native" else ray_head.client_address,
    )
    assert told["answers"] == [True] * 40 and told["again"] == [True] * 3
    assert told["thread"] == [True] and told["inits"] == 1
    assert told["cancelled"] in ("CancelledError", "bool")
    assert (told["task"], told["awaited"]) == (42, 43)
    assert told["said"] == 1 and told["problems"] == []


def test_failures_cancellation_and_timeouts_on_a_loop() -> None:
    told = play(
        _ASYNC
        + """
import ray
async def main():
    began = time.monotonic()
    short = ensure_ray_initialized_async(sys.argv[1], connect_timeout_s=0.5)
    long = asyncio.create_task(
        ensure_ray_initialized_async(sys.argv[1], connect_timeout_s=30))
    once = ensure_ray_initialized_async(sys.argv[1], connect_timeout_s=0)
    answers = await asyncio.gather(short, once)
    seconds = time.monotonic() - began
    state = held()["state"]
    long.cancel()
    result = (await asyncio.gather(long, return_exceptions=True))[0]
    while held()["state"] == "connecting" and time.monotonic() - began < 30:
        await asyncio.sleep(0.01)
    after = held()["state"]
    try:
        # Another address: the breaker knows the first.
        await asyncio.wait_for(ensure_ray_initialized_async("127.0.0.1:2"), 0.3)
    except asyncio.TimeoutError:  # TimeoutError itself since Python 3.11
        timed_out = True
    os.environ.update(RAY_ADDRESS=sys.argv[1], SEEDCORE_RAY_CONNECT_TIMEOUT_S="0")
    try:
        await connect_async()
    except seedcore_ray.RayConnectionError as error:
        kind = error.kind
    bad = await ensure_ray_initialized_async("no such://address")
    report(answers=answers, seconds=seconds, state=state, cancelled=type(result).__name__,
           after=after, timed_out=timed_out, kind=kind, bad=bad)
asyncio.run(main())
""",
        f"127.0.0.1:{closed_port()}",
    )
    assert told["answers"] == [False, False] and told["seconds"] < SOON_S
    assert told["state"] == "connecting" and told["cancelled"] == "CancelledError"
    assert told["after"] in ("idle", "failed"), "nobody waits, so nobody looks"
    assert told["timed_out"] and told["kind"] == "refused" and told["bad"] is False


def test_a_blocking_call_on_a_loop_is_bounded_and_names_the_twin() -> None:
    told = play(
        _ASYNC
        + """
import ray
async def main():
    ok, seconds = timed(ensure_ray_initialized, sys.argv[1], connect_timeout_s=60)
    report(ok=ok, seconds=seconds, error=error(), warnings=logged("WARNING"),
           errors=logged("ERROR"))
asyncio.run(main())
""",
        f"127.0.0.1:{closed_port()}",
    )
    assert told["ok"] is False and 3 < told["seconds"] < 5 + SOON_S
    assert told["error"]["kind"] == "refused" and len(told["errors"]) == 1
    (twin,) = [line for line in told["warnings"] if "ensure_ray_initialized_async" in line]
    assert "5 s" in twin


def test_a_blocking_call_on_a_loop_waits_for_an_init_as_ever() -> None:
    with GrpcPeer.ray_client() as peer:
        source = (
            _ASYNC
            + """
async def main():
    ok, seconds = timed(ensure_ray_initialized, sys.argv[1])
    report(ok=ok, seconds=seconds, kind=error()["kind"], state=held()["state"],
           warned=logged("WARNING"), errors=logged("ERROR"))
asyncio.run(main())
"""
        )
        # The cluster has answered: the 5 s of a loop are over with that.
        env = {"SEEDCORE_RAY_INIT_TIMEOUT_S": "7"}
        with start(source, peer.client_address, env=env) as program:
            told = program.finish(60).ok().fields
    assert (told["ok"], told["kind"], told["state"]) == (False, "init_timeout", "connecting")
    assert 6 < told["seconds"] < 7 + SOON_S and len(told["errors"]) == 1
    assert "ensure_ray_initialized_async" in told["warned"][0]


def test_two_loops_in_two_threads_and_one_that_closes_mid_connect(ray_head: RayHead) -> None:
    told = play(
        _ASYNC
        + _COUNT
        + """
async def leave():
    asyncio.create_task(ensure_runtime_ready())
    await asyncio.sleep(0.02)
def closes():
    # Closed without waiting for its tasks.
    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    loop.close()
answers = []
threads = [threading.Thread(target=closes)] + [
    threading.Thread(target=lambda: answers.append(asyncio.run(ensure_runtime_ready())))
    for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join(40)
report(answers=answers, inits=len(inits), ok=ensure_ray_initialized(),
       task=ray.get(ray.remote(lambda: 42).remote()), available=is_ray_available())
""",
        RAY_ADDRESS=ray_head.gcs_address,
    )
    assert told["answers"] == [True, True] and told["inits"] == 1
    assert told["ok"] and told["task"] == 42 and told["available"]


def test_ctrl_c_ends_a_loop_that_awaits_a_connect() -> None:
    with GrpcPeer.ray_client() as peer:
        source = (
            _ASYNC
            + """
mark("waiting")
try:
    asyncio.run(ensure_runtime_ready())
except KeyboardInterrupt:
    report(interrupted=True)
"""
        )
        with start(source, env={"RAY_ADDRESS": peer.client_address}) as program:
            program.wait_for_mark("waiting")
            wait_until(peer.held.is_set, 60, "ray.init to hang")
            program.signal(signal.SIGINT)
            ended = program.finish(SOON_S).ok()
    assert ended.fields == {"interrupted": True}
    assert "Traceback" not in ended.stderr


def test_an_asyncio_that_another_thread_is_importing_runs_no_loop() -> None:
    told = play(
        """
        import types
        sys.modules["asyncio"] = types.ModuleType("asyncio")
        ok = ensure_ray_initialized(sys.argv[1], connect_timeout_s=0)
        report(ok=ok, kind=error()["kind"])
        """,
        f"127.0.0.1:{closed_port()}",
    )
    assert told == {"ok": False, "kind": "refused"}
