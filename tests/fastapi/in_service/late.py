"""A service that does not wait for Ray, with a route for each way to fail."""

import os
from typing import Annotated

import ray
from fastapi import Depends, FastAPI

from seedcore_ray.fastapi import health_router, ray_lifespan, require_ray


def answer_in_ray(app: FastAPI) -> int:
    """Blocks: it runs on a thread."""
    made: int = ray.get(ray.remote(lambda: 42).remote())
    return made


app = FastAPI(lifespan=ray_lifespan(on_ready=answer_in_ray, wait_s=0))
app.include_router(health_router())


@app.get("/constant")
async def constant() -> dict[str, int]:
    """Needs nothing."""
    return {"pid": os.getpid()}


@app.get("/made")
async def made(value: Annotated[int, Depends(require_ray)]) -> int:
    """What on_ready made."""
    return value


@app.get("/put")
def put() -> str:
    """Needs Ray and does not say so."""
    return str(ray.put(1))


@app.get("/broken")
def broken() -> None:
    """A mistake of the service's own."""
    raise KeyError("a mistake")


@app.get("/task-fails")
def task_fails() -> None:
    """A mistake in a task, which Ray brings back."""
    ray.get(ray.remote(lambda: 1 // 0).remote())


@app.get("/actor-died")
def actor_died() -> None:
    """Ray's own error, for another reason than a lost cluster."""
    actor = ray.remote(type("Actor", (), {"die": lambda self: os._exit(1)})).remote()
    ray.get(actor.die.remote())


trying = FastAPI(lifespan=ray_lifespan(on_ready=answer_in_ray, while_unhealthy="try"))
"""Uses Ray for as long as the connection is held."""
trying.include_router(health_router())
trying.get("/made")(made)
