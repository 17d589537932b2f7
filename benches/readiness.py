"""A readiness probe under load, while the head is killed and comes back."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter

from benches.figures import Check, Figure, Row
from benches.lab import Lab
from seedcore_ray.testing import RayHead, free_ports
from tests.support.programs import Program

_RATE = 500
_BEFORE_S, _DOWN_S, _AFTER_S = 5.0, 10.0, 10.0
_PATHS = ("/constant", "/readyz")

_SERVICE = """
    import sys
    import uvicorn
    from fastapi import FastAPI
    from starlette.responses import JSONResponse
    from starlette.routing import Route
    from seedcore_ray.fastapi import health_router, ray_lifespan

    async def constant(request):
        return JSONResponse({"constant": True})

    app = FastAPI(lifespan=ray_lifespan(ray_address=sys.argv[1]))
    app.include_router(health_router())
    app.router.routes.append(Route("/constant", constant))
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
"""


def rows(lab: Lab) -> list[Row]:
    """One row: the 99th percentile of both routes."""
    lab.stop_head()
    (port,) = free_ports(1)
    with RayHead() as head, Program(_SERVICE, head.gcs_address, str(port), env=head.env()):
        times, statuses = asyncio.run(_through_a_restart(head, port))
    ours, constant = (Figure(_p99(times[path])) for path in ("/readyz", "/constant"))
    readyz = statuses["/readyz"]
    return [
        Row(
            f"/readyz at {_RATE} requests/s while the head dies and comes back, p99",
            ours,
            empty=constant,
            checks=(
                Check.at_most(ours, 1.5, constant, "a constant route"),
                Check("200 and 503, nothing else", set(readyz) == {200, 503}),
            ),
            note=f"{readyz[200]} of 200, {readyz[503]} of 503",
        )
    ]


def _p99(samples: list[float]) -> float:
    return statistics.quantiles(samples, n=100)[-1]


async def _through_a_restart(
    head: RayHead, port: int
) -> tuple[dict[str, list[float]], dict[str, Counter[int]]]:
    times: dict[str, list[float]] = {path: [] for path in _PATHS}
    statuses: dict[str, Counter[int]] = {path: Counter() for path in _PATHS}
    clients = [_Client(port) for _ in range(16)]
    free: asyncio.Queue[_Client] = asyncio.Queue()
    for client in clients:
        await client.connect()
        free.put_nowait(client)
    while (await _ask(free, "/readyz"))[0] != 200:
        await asyncio.sleep(0.1)
    drill = asyncio.create_task(asyncio.to_thread(_restart, head))
    tasks: set[asyncio.Task[None]] = set()

    async def one(path: str) -> None:
        status, seconds = await _ask(free, path)
        times[path].append(seconds)
        statuses[path][status] += 1

    due = time.perf_counter()
    while not drill.done():
        # Both in turn, so that whatever disturbs the machine disturbs both.
        for path in _PATHS:
            task = asyncio.create_task(one(path))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        due += 1 / _RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    await drill
    await asyncio.gather(*tasks)
    return times, statuses


def _restart(head: RayHead) -> None:
    time.sleep(_BEFORE_S)
    head.shut()
    time.sleep(_DOWN_S)
    head.start()
    time.sleep(_AFTER_S)


async def _ask(free: asyncio.Queue[_Client], path: str) -> tuple[int, float]:
    began = time.perf_counter()
    client = await free.get()
    try:
        status = await client.get(path)
    finally:
        free.put_nowait(client)
    return status, time.perf_counter() - began


class _Client:
    """HTTP/1.1 over one connection that is kept; lighter than what it measures."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def connect(self) -> None:
        """Until the server is there."""
        give_up = time.monotonic() + 60
        while True:
            try:
                self._in, self._out = await asyncio.open_connection("127.0.0.1", self._port)
                return
            except OSError:
                if time.monotonic() > give_up:
                    raise
                await asyncio.sleep(0.1)

    async def get(self, path: str) -> int:
        """The status."""
        self._out.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = (await self._in.readuntil(b"\r\n\r\n")).decode().lower()
        (length,) = (line for line in head.split("\r\n") if line.startswith("content-length:"))
        await self._in.readexactly(int(length.split(":")[1]))
        return int(head.split()[1])
