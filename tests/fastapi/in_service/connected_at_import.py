"""A service that connects when it is imported: under --preload in the parent of its workers."""

from fastapi import FastAPI

from seedcore_ray import ensure_ray_initialized
from seedcore_ray.fastapi import ray_lifespan

assert ensure_ray_initialized()

app = FastAPI(lifespan=ray_lifespan())
