"""A Ray Client that gives up by itself is lost, and made again; nobody has shut it down.

Its next call makes Ray disconnect whatever client the calling thread uses.
"""

from __future__ import annotations

from seedcore_ray.testing import RayHead
from tests.support.monitored import start

# One argument that the head cannot unpickle, and Ray gives up the whole client.
_GIVE_UP = """
import gc
from ray.util.client import _default_context

class Unreadable:
    def __reduce__(self):
        return int, ("token=hunter2",)

@ray.remote(num_cpus=0)
def nothing(*_):
    pass

def give_up(worker):
    ray.get(nothing.remote())  # uploaded: the next one waits for no answer
    asked = nothing.remote(Unreadable())
    await_true(lambda: worker.data_client._in_shutdown)

def release(worker, refs):
    # Ray 2.60 does it on a thread of its own, earlier ones where the ref is dropped.
    refs.clear()
    gc.collect()
    if (queue := getattr(worker, "_release_queue", None)) is not None:
        await_true(lambda: queue.qsize() == 0 or not worker._release_thread.is_alive())

def outcome(call):
    try:
        return call()
    except BaseException as raised:
        return type(raised).__name__
"""


# As good as never: the grace would have it look at least that often.
_LOOKS_RARELY = {"SEEDCORE_RAY_LOSS_GRACE_S": "600"}


def test_a_call_comes_before_the_next_look(ray_head: RayHead) -> None:
    source = """
connected(sys.argv[1], interval_s=600)
worker = _default_context.client_worker
refs = [ray.put(1)]
give_up(worker)
told = outcome(lambda: ray.put(2))
await_true(lambda: "reconnected" in names())
report(told=told, names=names(), works=task(), state=state(),
       other=_default_context.client_worker is not worker,
       lines=logged("WARNING") + logged("ERROR"), shut=logged("INFO"))
release(worker, refs)
report(after=[task(), state(), is_ray_available(), names()[-1]])
os._exit(0)
"""
    with start(
        _GIVE_UP + source, ray_head.client_address, env={**ray_head.env(), **_LOOKS_RARELY}
    ) as program:
        told = program.finish(120).ok().fields
    assert told["told"] == "ConnectionError"
    assert told["names"] == ["connected", "lost", "reconnected"]
    assert (told["works"], told["state"], told["other"]) == (42, "connected", True)
    (lost,) = [line for line in told["lines"] if line.startswith("lost: ")]
    assert "FAILED_PRECONDITION: invalid literal for int()" in lost and "hunter2" not in lost
    assert not any("ray.shutdown()" in line for line in told["shut"])
    assert told["after"] == [42, "connected", True, "reconnected"]


def test_a_dropped_ref_ends_no_other_connection(ray_head: RayHead) -> None:
    source = """
from seedcore_ray import ConnectionPool
connected(sys.argv[1], interval_s=600)
main = _default_context.client_worker
pool = ConnectionPool(sys.argv[1], min_size=1, max_size=1, timeout=60)
with pool.connection():
    worker = ray.util.client.ray.get_context().client_worker
    refs = [ray.put(1)]
    give_up(worker)
release(worker, refs)
report(main=[_default_context.client_worker is main, task(), state()])
with pool.connection():
    report(told=outcome(task))
with pool.connection():
    report(pool=[task(), ray.util.client.ray.get_context().client_worker is not worker])
pool.close()
os._exit(0)
"""
    with start(
        _GIVE_UP + source, ray_head.client_address, env={**ray_head.env(), **_LOOKS_RARELY}
    ) as program:
        told = program.finish(120).ok().fields
    assert told["main"] == [True, 42, "connected"]
    # Where Ray releases refs on the thread that drops them, the pool has replaced it already.
    assert told["told"] in ("ConnectionError", 42)
    assert told["pool"] == [42, True]
