"""Requests that use a pool: lent in their own thread, and 503 where there is no connection."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support import closed_port
from tests.support.scenario import play

_APP = """
import asyncio, contextlib, logging
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient
import ray
from seedcore_ray import ConnectionPool
from seedcore_ray.fastapi import health_router, pool_lifespan, ray_lifespan, require_pool
def ask(client, path):
    answer = client.get(path)
    return [answer.status_code, answer.headers.get("Retry-After"), answer.json()]
def at_once(client, path, count):
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(lambda _: ask(client, path), range(count)))
def started(app):
    return TestClient(app, raise_server_exceptions=False)
"""


def test_each_request_has_a_connection_to_itself_beside_the_main_one(ray_head: RayHead) -> None:
    told = play(
        _APP
        + """
pool = ConnectionPool(sys.argv[1], max_size=2, name="reads")
app = FastAPI(lifespan=pool_lifespan(pool, wait_s=30, lifespan=ray_lifespan(wait_s=30)))
app.include_router(health_router())
def job():
    return ray.get_runtime_context().get_job_id()
@app.get("/plain")
def plain(pool: Annotated[ConnectionPool, Depends(require_pool(pool))]):
    with pool.connection() as lent:
        return [lent.number, job()]
@app.get("/async")
async def on_loop(pool: Annotated[ConnectionPool, Depends(require_pool(pool))]):
    return await pool.run_async(job)
@app.get("/main")
def main():
    return job()
with started(app) as client:
    report(plain=at_once(client, "/plain", 6), on_loop=at_once(client, "/async", 6),
           main=at_once(client, "/main", 2), ready=ask(client, "/readyz"))
report(closed=pool.closed, threads=[one.name for one in threading.enumerate()])
# Left in the moment in which the main connection is there: that used to hang.
try:
    with started(app):
        pass
except seedcore_ray.PoolClosed as error:
    report(again=str(error))
""",
        ray_head.client_address,
        RAY_ADDRESS=ray_head.gcs_address,
    )
    assert [status for status, *_ in told["plain"] + told["on_loop"]] == [200] * 12
    jobs = {job for *_, (_, job) in told["plain"]}
    assert {job for *_, job in told["on_loop"]} <= jobs
    main = {job for *_, job in told["main"]}
    assert len(main) == 1 and not main & jobs
    status, _, ready = told["ready"]
    (shown,) = ready["pools"]
    assert (status, ready["state"], ready["ready"]) == (200, "connected", True)
    assert (shown["name"], shown["required"], shown["ready"]) == ("reads", True, True)
    assert shown["address"] == ray_head.client_address
    assert shown["requests_num"] == 12 and shown["pool_in_use"] == 0
    assert told["closed"] and "seedcore-ray-pool" not in told["threads"]
    assert "Make a new ConnectionPool" in told["again"]


def test_a_pool_that_is_busy_or_was_open_before(ray_head: RayHead) -> None:
    told = play(
        _APP
        + """
pool = ConnectionPool(sys.argv[1], max_size=1, max_waiting=1, timeout=0.3, name="busy")
lazy = ConnectionPool(sys.argv[1], min_size=0, max_size=1, name="lazy")
other = ConnectionPool(sys.argv[1], min_size=0, name="other")
pool.open(), other.open()
app = FastAPI(lifespan=pool_lifespan(pool, lazy, wait_s=30))
app.include_router(health_router())
@app.get("/work")
def work():
    with pool.connection() as lent:
        return lent.number
with started(app) as client:
    with pool.connection():
        report(busy=at_once(client, "/work", 3), ready=ask(client, "/readyz"))
# What FastAPI may do to a dependency with yield.
lent = other.connection()
with ThreadPoolExecutor(1) as elsewhere:
    elsewhere.submit(lent.__enter__).result()
    try:
        lent.__exit__(None, None, None)
    except RuntimeError as error:
        report(wrong=str(error))
    again = elsewhere.submit(other.run, ray.is_initialized).result(30)
    report(then=[again, elsewhere.submit(ray.is_initialized).result(), ray.is_initialized()])
report(closed=[pool.closed, lazy.closed, other.closed])
pool.close(), other.close()
""",
        ray_head.client_address,
    )
    assert [(status, after) for status, after, _ in told["busy"]] == [(503, "5")] * 3
    told_of = " ".join(body["detail"] for *_, body in told["busy"])
    assert "max_waiting" in told_of and "all 1 connections are in use" in told_of
    status, _, ready = told["ready"]
    assert status == 200, "one that is busy is ready, and one of min_size=0 needs none"
    shown = {one["name"]: (one["required"], one["pool_in_use"]) for one in ready["pools"]}
    assert shown == {"busy": (True, 1), "lazy": (True, 0), "other": (False, 0)}
    assert ready["state"] == "idle", "the service lives on its pools"
    assert "another thread" in told["wrong"] and "require_pool" in told["wrong"]
    assert told["then"] == [True, False, False], "the thread it was entered in is mended"
    assert told["closed"] == [False, True, False]


def test_a_cluster_that_is_away(nowhere: str) -> None:
    told = play(
        _APP
        + """
async def ticks(app, laps):
    async with contextlib.AsyncExitStack() as stack:
        entered = stack.enter_async_context(pool_lifespan(pool, wait_s=1)(app))
        entering = asyncio.ensure_future(entered)
        while not entering.done():
            began = time.monotonic()
            await asyncio.sleep(0.05)
            laps.append(time.monotonic() - began)
        await entering
pool = ConnectionPool(sys.argv[1], timeout=0.2, name="away")
laps = []
asyncio.run(ticks(FastAPI(), laps))
report(laps=len(laps), closed=pool.closed)

pool = ConnectionPool(sys.argv[1], timeout=0.2, name="away")
app = FastAPI(lifespan=pool_lifespan(pool, wait_s=0))
app.include_router(health_router())
@app.get("/needs")
def needs(pool: Annotated[ConnectionPool, Depends(require_pool(pool))]):
    raise AssertionError("it is not called")
@app.get("/waits")
def waits():
    with pool.connection():
        raise AssertionError("it is not called")
@app.get("/broken")
def broken():
    raise KeyError("a mistake")
with started(app) as client:
    report(waits=ask(client, "/waits"))
    first = ask(client, "/readyz")
    while pool._core.absence() is None:
        time.sleep(0.05)
    report(first=first, needs=ask(client, "/needs"), ready=ask(client, "/readyz"))
    report(live=ask(client, "/livez"), broken=client.get("/broken").status_code)
report(closed=[pool.closed, str(pool._core.absence())])
""",
        nowhere,
        SEEDCORE_RAY_CONNECT_TIMEOUT_S="1",
    )
    assert told["laps"] > 3, "the loop ran on"
    assert told["waits"][:2] == [503, "5"] and "away" in told["waits"][2]["detail"]
    assert told["first"][0] == told["ready"][0] == told["needs"][0] == 503
    assert "nothing listens" in told["needs"][2]["detail"]
    ready = told["ready"][2]
    (shown,) = ready["pools"]
    assert ready["cause"] == shown["cause"] and ready["cause"]["kind"] == "refused"
    assert (ready["ready"], shown["ready"]) == (False, False)
    assert told["live"][0] == 200 and told["broken"] == 500
    assert told["closed"][0] and "closed" in told["closed"][1]


def test_a_pool_is_made_before_the_workers_are_forked(nowhere: str) -> None:
    told = play(
        """
from seedcore_ray import ConnectionPool, PoolTimeout, RayConnectionError
made, opened = (ConnectionPool(sys.argv[1], timeout=0.2, name=name) for name in ("a", "b"))
def use(pool):
    try:
        pool.run(int)
    except RayConnectionError as error:
        return [type(error).__name__, error.kind, pool.name]
report(early=told_by_child(lambda: use(made)))
opened.open()
report(late=told_by_child(lambda: [use(made), use(opened)]), parent=use(made))
""",
        nowhere,
    )
    assert told["early"][0] == told["parent"][0] == "PoolTimeout", "nobody listens there"
    assert told["late"] == [["RayConnectionError", "forked", name] for name in ("a", "b")]


def test_mistakes_in_the_call() -> None:
    told = play(
        """
from seedcore_ray.fastapi import pool_lifespan
said = []
for pools, wait_s in (((), -1), ((), None), (("ray://head",), 1)):
    try:
        pool_lifespan(*pools, wait_s=wait_s)
    except (TypeError, ValueError) as error:
        said.append([type(error).__name__, str(error)])
report(said=said)
"""
    )
    kinds, words = zip(*told["said"], strict=True)
    assert kinds == ("ValueError", "TypeError", "TypeError")
    assert "wait_s" in words[0] and "ConnectionPools, not str" in words[2]


@pytest.fixture
def nowhere() -> str:
    """An address where nobody listens."""
    return f"ray://127.0.0.1:{closed_port()}"
