"""A service whose requests use Ray for as long as the connection is held."""

from typing import Annotated

from fastapi import Depends, FastAPI
from late import answer_in_ray

from seedcore_ray.fastapi import health_router, ray_lifespan, require_ray

app = FastAPI(lifespan=ray_lifespan(on_ready=answer_in_ray, while_unhealthy="try"))
app.include_router(health_router())


@app.get("/made")
async def made(value: Annotated[int, Depends(require_ray)]) -> int:
    """What on_ready made."""
    return value
