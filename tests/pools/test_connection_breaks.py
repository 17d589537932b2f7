"""A connection that ends is replaced in the background; who uses it is told."""

from __future__ import annotations

import signal

import pytest

from seedcore_ray.testing import RayHead
from seedcore_ray.testing.processes import send_signal
from tests.support.scenario import start

_PROGRAM = """
from seedcore_ray import ConnectionPool, PoolTimeout, on_event
import ray

@ray.remote
def one_more(x):
    return x + 1

@ray.remote
def never():
    time.sleep(3600)

events = []
on_event(lambda event: events.append([event.pool, event.name]))
pool = ConnectionPool(sys.argv[1], min_size=2, max_size=2, timeout=100, name="p")
pool.open(wait=True, timeout=100)

def available(count):
    end = time.monotonic() + 90
    while pool.get_stats()["pool_available"] != count:
        assert time.monotonic() < end, pool.get_stats()
        time.sleep(0.01)
    return count

def works():
    return pool.run(lambda: ray.get(one_more.remote(1)))

def next_step(name):
    mark(name)
    sys.stdin.readline()
"""


def test_the_server_process_of_a_connection_is_killed(ray_head: RayHead) -> None:
    before = {process.pid for process in ray_head.client_servers()}
    with start(
        _PROGRAM
        + """
ended = []
def blocked():
    with pool.connection():
        try:
            ray.get(never.remote())
        except ConnectionError:  # Ray's, or ours that says what happened
            ended.append("ConnectionError")
thread = threading.Thread(target=blocked, daemon=True)
thread.start()
available(1)
next_step("filled")
thread.join(60)
report(ended=ended, available=available(2), works=works())
# Who shuts Ray down in a block ends that connection alone.
with pool.connection():
    ray.shutdown()
report(again=[available(2), works()], size=pool.get_stats()["pool_size"], events=events)
pool.close()
""",
        ray_head.client_address,
    ) as program:
        program.wait_for_mark("filled", deadline_s=100)
        for process in ray_head.client_servers():
            if process.pid not in before:
                send_signal(process.pid, signal.SIGKILL)
        program.tell("")
        result = program.finish(100).ok().fields
    assert result["ended"] == ["ConnectionError"]
    assert (result["available"], result["works"]) == (2, 2)
    assert result["again"] == [2, 2]
    assert result["size"] == 2
    assert ["p", "lost"] in result["events"]
    assert ["p", "shutdown"] in result["events"]
    assert all(pool == "p" for pool, _ in result["events"])


@pytest.mark.soak
@pytest.mark.timeout(240)
def test_the_head_is_restarted(own_head: RayHead) -> None:
    with start(
        _PROGRAM
        + """
next_step("filled")
available(0)
try:
    with pool.connection(timeout=0.5):
        pass
except PoolTimeout as error:
    report(told=[error.kind, "p" in str(error)])
next_step("noticed")
report(works=works(), available=available(2), size=pool.get_stats()["pool_size"])
pool.close()
""",
        own_head.client_address,
    ) as program:
        program.wait_for_mark("filled", deadline_s=100)
        own_head.stop()
        program.tell("")
        program.wait_for_mark("noticed", deadline_s=100)
        own_head.start()
        program.tell("")
        result = program.finish(150).ok().fields
    assert result["told"][0] in ("refused", "lost", "timeout", "not_ready")
    assert result["told"][1]
    assert (result["works"], result["available"], result["size"]) == (2, 2, 2)
