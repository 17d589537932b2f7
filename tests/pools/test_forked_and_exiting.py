"""A fork cannot use the parent's pool and says so; the end of the process waits for nothing."""

from __future__ import annotations

import time

import pytest

from seedcore_ray.testing import RayHead
from tests.support.scenario import play, run

_SOAK = pytest.mark.soak
_BEGIN = """
from seedcore_ray import ConnectionPool, RayConnectionError
import ray

@ray.remote
def one_more(x):
    return x + 1

pool = ConnectionPool(sys.argv[1], max_size=2, timeout=100, name="p")
pool.open(wait=True, timeout=100)
works = lambda: pool.run(lambda: ray.get(one_more.remote(1)))
"""


def test_a_forked_child_is_told_and_leaves(ray_head: RayHead) -> None:
    result = play(
        _BEGIN
        + """
assert works() == 2
def child():
    told = []
    for use in (pool.open, works, pool.wait, lambda: pool.connection().__enter__()):
        try:
            use()
        except RayConnectionError as error:
            told.append(error.kind)
    pool.close()
    assert ensure_ray_initialized(sys.argv[1]) is False
    return told
reading, writing = os.pipe()
began = time.monotonic()
pid = os.fork()
if pid == 0:
    os.write(writing, repr(child()).encode())
    sys.exit(7)
_, status = os.waitpid(pid, 0)
report(told=os.read(reading, 1000).decode(), code=os.waitstatus_to_exitcode(status),
       parent=works(), seconds=time.monotonic() - began)
pool.close()
""",
        ray_head.client_address,
        deadline_s=100,
    )
    assert result["told"] == repr(["forked"] * 4)
    assert (result["code"], result["parent"]) == (7, 2)
    assert result["seconds"] < 30


@pytest.mark.parametrize(
    "where",
    ["in a thread", pytest.param("idle", marks=_SOAK), pytest.param("awaited", marks=_SOAK)],
)
def test_the_process_ends_with_its_code(ray_head: RayHead, where: str) -> None:
    result = run(
        _BEGIN
        + """
import asyncio
never = lambda: ray.get(ray.remote(lambda: time.sleep(3600)).remote())
if sys.argv[2] == "in a thread":
    threading.Thread(target=lambda: pool.run(never), daemon=True).start()
    while not pool.get_stats()["pool_in_use"]:
        time.sleep(0.01)
elif sys.argv[2] == "awaited":
    async def cancelled():
        task = asyncio.ensure_future(pool.run_async(never))
        while not pool.get_stats()["pool_in_use"]:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    asyncio.run(cancelled())
report(at=time.time())
sys.exit(3)
""",
        ray_head.client_address,
        where,
        deadline_s=100,
    )
    assert result.rc == 3, result.told()
    assert time.time() - result.fields["at"] < 30
