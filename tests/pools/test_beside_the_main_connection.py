"""A pool's connections and the process's own do not get into each other's way.

Ray's own ``with context:`` mixes threads up, cuts the default connection off, and is refused in a
natively connected process.
"""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support.scenario import play

# Two Ray Clients in one process: where most can go wrong.
MAINS = ("client", *(pytest.param(main, marks=pytest.mark.soak) for main in ("none", "native")))

_BEGIN = """
import asyncio, sys
from seedcore_ray import ConnectionPool, connection
import ray

@ray.remote
def namespace_there():
    return ray.get_runtime_context().namespace

@ray.remote
def one_more(x):
    return x + 1

@ray.remote
class Counter:
    def __init__(self):
        self.count = 0
    def more(self):
        self.count += 1
        return self.count
    def nested(self):
        return [ray.put(5)]

def here():
    return ray.get(namespace_there.remote())

def raised(body):
    try:
        body()
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"

main, address, client = sys.argv[1:4]
is_main = main != "none"
if is_main:
    assert ensure_ray_initialized(address, "main")
    mine = one_more.remote(1)
pool = ConnectionPool(client, max_size=2, timeout=100, namespace="pool", name="p")
"""


def _play(head: RayHead, main: str, source: str) -> dict[str, object]:
    address = head.gcs_address if main == "native" else head.client_address
    return play(_BEGIN + source, main, address, head.client_address, deadline_s=110)


@pytest.mark.parametrize("main", MAINS)
def test_a_thread_uses_one_or_the_other(ray_head: RayHead, main: str) -> None:
    result = _play(
        ray_head,
        main,
        """
with pool:
    with pool.connection() as first:
        inside = [here(), connection().state, is_ray_available()]
        with pool.connection() as second:
            inside.append([second is first, here()])
        inside.append(here())
        ensure_ray_initialized.__doc__
    class Meant(Exception): pass
    def fails():
        with pool.connection():
            raise Meant("meant")
    report(inside=inside, raised=raised(fails),
           after=[here() if is_main else raised(here), connection().state, connection().mode])
    numbers = []
    def work(i):
        with pool.connection() as one:
            numbers.append((one.number, ray.get(one_more.remote(i))))
    threads = [threading.Thread(target=work, args=(i,)) for i in range(16)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    async def several():
        calls = (pool.run_async(lambda i=i: ray.get(one_more.remote(i))) for i in range(8))
        return await asyncio.gather(*calls)
    async def on_the_loop():
        with pool.connection():
            pass
    report(values=sorted(value for _, value in numbers), asynchronous=asyncio.run(several()),
           on_the_loop=raised(lambda: asyncio.run(on_the_loop())),
           most=pool.get_stats()["pool_size"])
    if is_main:
        shutdown_ray()
        report(without=[connection().state, pool.run(here)])
        report(again=[ensure_ray_initialized(address, "main"), here(), pool.run(here)])
report(closed=[here() if is_main else raised(here), raised(lambda: pool.run(here))])
""",
    )
    state = "idle" if main == "none" else "connected"
    assert result["inside"] == ["pool", state, main != "none", [True, "pool"], "pool"]
    assert result["raised"] == "Meant: meant"
    after, closed = result["after"], result["closed"]
    assert isinstance(after, list) and isinstance(closed, list)
    assert result["values"] == list(range(1, 17))
    assert result["asynchronous"] == list(range(1, 9))
    assert "await pool.run_async" in str(result["on_the_loop"])
    assert result["most"] in (1, 2)
    assert "PoolClosed" in closed[1]
    if main == "none":
        # No stray cluster, and no half-made connection.
        assert "Ray has not been started yet" in after[0]
        assert "Ray has not been started yet" in closed[0]
    else:
        assert after == ["main", "connected", main]
        assert result["without"] == ["idle", "pool"]
        assert result["again"] == [True, "main", "pool"]
        assert closed[0] == "main"


@pytest.mark.parametrize("main", MAINS)
def test_what_is_of_another_connection_is_refused_in_words(ray_head: RayHead, main: str) -> None:
    result = _play(
        ray_head,
        main,
        """
other = ConnectionPool(client, timeout=100, namespace="other", name="q")
with pool.connection() as first:
    ref, actor = one_more.remote(1), Counter.remote()
    assert ray.get(actor.more.remote()) == 1
    async def nested():
        (inner,) = await actor.nested.remote()
        return await inner
    report(nested=asyncio.run(nested()))
with other.connection():
    uses = [lambda: ray.get(ref), lambda: ray.get([ref]), lambda: ray.wait([ref]),
            lambda: one_more.remote(ref), lambda: one_more.remote([{"in": ref}]),
            lambda: actor.more.remote(), lambda: actor.more.options(num_returns=1).remote(),
            lambda: one_more.remote(actor), lambda: ray.kill(actor), lambda: ray.cancel(ref)]
    if main == "client":
        uses.append(lambda: ray.get(mine))
    report(refused=[raised(use) for use in uses], fine=ray.get(one_more.remote(1)))
with pool.connection():
    report(still=[ray.get(ref), ray.get(actor.more.remote())])
# A task that is decorated on one connection works on the other, too.
with pool.connection():
    made = ray.remote(lambda: 7)
    here_first = ray.get(made.remote())
report(everywhere=[here_first, other.run(lambda: ray.get(made.remote())),
                   pool.run(lambda: ray.get(made.remote()))])
if main == "client":
    # Uploaded once for each connection; by Ray itself, for each change between two.
    from ray.util.client import worker
    uploads = []
    rays = worker.Worker._put_pickled
    def put_pickled(self, *args, **kwargs):
        uploads.append(self._client_id)
        return rays(self, *args, **kwargs)
    worker.Worker._put_pickled = put_pickled
    new = ray.remote(lambda x: x)
    for i in range(5):
        assert pool.run(lambda: ray.get(new.remote(i))) == ray.get(new.remote(i)) == i
    report(uploads=sorted(uploads.count(one) for one in set(uploads)))
pool.close()
other.close()
""",
    )
    if main == "client":
        assert result["uploads"] == [1, 1]
    refused = result["refused"]
    assert isinstance(refused, list)
    for words in refused:
        assert words.startswith("ValueError: This "), words
        assert "made on another connection, to ray://" in words
    assert (result["nested"], result["fine"]) == (5, 2)
    assert result["still"] == [2, 2]
    assert result["everywhere"] == [7, 7, 7]
