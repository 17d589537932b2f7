"""Ray in a FastAPI or Starlette service: connected before the first request, 503 while it is away.

    app = FastAPI(lifespan=ray_lifespan(on_ready=make_manager))
    app.include_router(health_router())

    @app.post("/tasks")
    async def run(task: Task, manager: Annotated[Manager, Depends(require_ray)]) -> Result:
        return await manager.run(task)

Importing it needs Starlette, which FastAPI brings along: ``pip install "seedcore-ray[fastapi]"``.
"""

try:
    import starlette  # noqa: F401
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError(
        'seedcore_ray.fastapi needs FastAPI or Starlette: pip install "seedcore-ray[fastapi]"',
        name=missing.name,
    ) from None

from seedcore_ray.fastapi._dependency import require_ray
from seedcore_ray.fastapi._health import health_router
from seedcore_ray.fastapi._lifespan import ray_lifespan
from seedcore_ray.fastapi._pools import pool_lifespan, require_pool

__all__ = ["health_router", "pool_lifespan", "ray_lifespan", "require_pool", "require_ray"]
