"""The example service, with routes that do not say that they need Ray, and middleware."""

from collections.abc import Awaitable, Callable
from time import sleep

import ray
from fastapi import Request, Response

from examples.fastapi_service.app import app

# A lambda is sent by value, to workers that do not have this module. No CPU: none is to wait for
# another.
nap = ray.remote(num_cpus=0)(lambda seconds: sleep(seconds))


@app.get("/awaits")
async def awaits(seconds: float = 0.05) -> None:
    """Awaits a ref."""
    await nap.remote(seconds)


@app.get("/blocks")
def blocks(seconds: float = 0.05) -> None:
    """Blocks in Ray, on a thread."""
    ray.get(nap.remote(seconds))


@app.middleware("http")
async def note_status(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """As a service's access metrics do: it must see a response, and no exception."""
    try:
        response = await call_next(request)
    except BaseException as error:
        print(f"the middleware saw {error!r}", flush=True)
        raise
    response.headers["X-Seen"] = str(response.status_code)
    return response
