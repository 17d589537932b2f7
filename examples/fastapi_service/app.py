"""The service. It starts in this order: app, Ray, manager, bootstrap of named actors, ready.

``RAY_ADDRESS=... uvicorn examples.fastapi_service.app:app``
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI

from examples.fastapi_service.manager import Manager
from seedcore_ray.fastapi import health_router, ray_lifespan, require_ray

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """What the app has besides Ray: it is there before Ray, and goes after it."""
    app.state.agents = ["planner", "worker"]
    yield


async def make_manager(app: FastAPI) -> Manager:
    """After the first connect, and again after each reconnect."""
    return await Manager.bootstrap(app.state.agents)


app = FastAPI(lifespan=ray_lifespan(on_ready=make_manager, lifespan=lifespan))
app.include_router(health_router())

Ready = Annotated[Manager, Depends(require_ray)]


@app.get("/")
async def about() -> dict[str, str]:
    """Needs no Ray, and is answered without it."""
    return {"service": "fastapi_service"}


@app.get("/agents/{name}")
async def status(name: str, manager: Ready) -> dict[str, int]:
    """Awaits Ray on the event loop."""
    return await manager.status(name)


@app.post("/agents/{name}/work")
def work(name: str, manager: Ready, seconds: float = 0.1) -> dict[str, int]:
    """Blocks in Ray, on one of the threads that FastAPI keeps for plain functions."""
    return manager.work(name, seconds)
