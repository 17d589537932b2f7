"""A process that ends while a connect is pending, in each way a process ends: rc kept, no noise."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from seedcore_ray.testing import RayHead
from tests.support import SOON_S, GrpcPeer, SilentListener, closed_port, run_program
from tests.support.scenario import play, run

_DEBUG = """
import logging
logging.basicConfig(level=logging.DEBUG)
logging.getLogger("seedcore_ray").propagate = True
"""
_PENDING = """
def pend():
    ensure_ray_initialized(connect_timeout_s=60)
threading.Thread(target=pend, daemon=True).start()
while held()["state"] != "connecting":
    time.sleep(0.005)
time.sleep(float(sys.argv[1]))
"""
_ASYNC = """
import asyncio
from seedcore.utils.ray_connector import ensure_runtime_ready
async def main():
    asyncio.create_task(ensure_runtime_ready())
    await asyncio.sleep(float(sys.argv[1]))
asyncio.run(main())
"""
_ENDS = {"returns": ("", 0), "sys.exit": ("sys.exit(3)", 3), "raises": ("raise SystemExit(4)", 4)}


def _address(phase: str, silent: SilentListener, stuck: GrpcPeer) -> str:
    addresses = {
        "refused": f"127.0.0.1:{closed_port()}",
        "probe": silent.address,
        "init": stuck.client_address,
    }
    return addresses[phase]


@pytest.mark.parametrize("how", ["thread", "asyncio"])
@pytest.mark.parametrize("phase", ["refused", "probe", "init"])
@pytest.mark.parametrize("debug", [False, True], ids=["quiet", "debug"])
def test_the_end_of_a_process_with_a_connect_pending(phase: str, how: str, debug: bool) -> None:
    ending = list(_ENDS)[("refused", "probe", "init").index(phase)]
    statement, rc = _ENDS[ending]
    source = (_DEBUG if debug else "") + (_PENDING if how == "thread" else _ASYNC) + statement
    with SilentListener() as silent, GrpcPeer.ray_client() as stuck:
        for delay in ("0", "0.5") if phase != "init" else ("1.5",):
            address = _address(phase, silent, stuck)
            ended = run(source, delay, env={"RAY_ADDRESS": address}, deadline_s=60)
            assert ended.rc == rc, ended.told()
            assert "Traceback" not in ended.stderr and "Fatal" not in ended.stderr, ended.told()
            assert "panicked" not in ended.stderr, ended.told()
            assert ended.wall_s < 5 + SOON_S, ended.told()


def test_no_thread_to_be_had_is_a_failure_like_any_other() -> None:
    """As in an exit hook of Python 3.12."""
    told = play(
        """
        import asyncio
        from seedcore_ray import ensure_ray_initialized_async
        def refuse(thread):
            raise RuntimeError("can't start new thread")
        start, threading.Thread.start = threading.Thread.start, refuse
        answers = [ensure_ray_initialized(), asyncio.run(ensure_ray_initialized_async())]
        report(answers=answers, tested=test_ray_connection())
        report(raised=caught(), state=held()["state"])
        threading.Thread.start = start
        report(later=caught()["kind"])
        """,
        RAY_ADDRESS=f"127.0.0.1:{closed_port()}",
        SEEDCORE_RAY_CONNECT_TIMEOUT_S="0.2",
    )
    assert told["answers"] == [False, False] and told["tested"] is False
    assert told["raised"]["kind"] == "init_failed" and "limit of threads" in told["raised"]["hint"]
    assert "can't start new thread" in told["raised"]["message"]
    assert told["state"] == "failed" and told["later"] == "refused"


@pytest.mark.parametrize("mode", ["native", "client", "dead"])
def test_exit_hooks_that_call_us(ray_head: RayHead, mode: str) -> None:
    address = {"native": ray_head.gcs_address, "client": ray_head.client_address}.get(
        mode, f"127.0.0.1:{closed_port()}"
    )
    # One hook registered before our import and so run after our own, one after it.
    source = """
import atexit, sys
def hook(name):
    import seedcore_ray
    from seedcore.utils import ray_connector, ray_utils
    print(name, ray_utils.is_ray_available(), ray_connector.is_connected(),
          ray_utils.get_ray_cluster_info()["status"], ray_connector.get_connection_info()["status"],
          flush=True)
    ray_utils.ensure_ray_initialized(connect_timeout_s=0.2)
    ray_connector.wait_for_ray_ready(0.2)
    ray_utils.shutdown_ray()
    ray_utils.shutdown_ray()
    print(name, "done", ray_utils.ensure_ray_initialized(connect_timeout_s=0.2), flush=True)
atexit.register(hook, "late")
import ray
from seedcore.utils.ray_utils import ensure_ray_initialized
atexit.register(hook, "early")
ensure_ray_initialized(connect_timeout_s=0.2)
"""
    ended = run_program(source, env={"RAY_ADDRESS": address}, deadline_s=40)
    assert ended.rc == 0, ended.told()
    assert "Traceback" not in ended.stderr and "panicked" not in ended.stderr, ended.told()
    up = mode != "dead"
    status = ("available connected") if up else "not_available not_connected"
    assert f"early {up} {up} {status}\n" in ended.stdout, ended.told()
    # Python 3.12, and only that, starts no thread in an exit hook, neither ours nor Ray's own.
    again = up and sys.version_info[:2] != (3, 12)
    assert f"early done {again}\n" in ended.stdout, ended.told()
    assert "late done False\n" in ended.stdout, ended.told()


@pytest.mark.parametrize("mode", ["native", "client"])
def test_a_connected_process_just_ends(ray_head: RayHead, mode: str) -> None:
    address = ray_head.gcs_address if mode == "native" else ray_head.client_address
    source = """
import seedcore_ray
ensure_ray_initialized()
threads = [threading.Thread(target=is_ray_available, daemon=True) for _ in range(20)]
for thread in threads: thread.start()
sys.exit(5)
"""
    ended = run(source, env={"RAY_ADDRESS": address}, deadline_s=30)
    assert ended.rc == 5 and "Traceback" not in ended.stderr, ended.told()
    assert "panicked" not in ended.stderr, ended.told()


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_thousand_exits() -> None:
    # Most ends lie in the first milliseconds, where threads still start.
    def end(number: int) -> str | None:
        address = silent.address if number % 2 else refused
        delay = str(number % 5 / 200)
        ended = run(_DEBUG + _PENDING, delay, env={"RAY_ADDRESS": address}, deadline_s=60)
        return None if ended.rc == 0 and "Traceback" not in ended.stderr else ended.told()

    refused = f"127.0.0.1:{closed_port()}"
    with SilentListener() as silent, ThreadPoolExecutor(4) as threads:
        assert [told for told in threads.map(end, range(1000)) if told] == []
