"""What a service is made of besides us: its own lifespan, middleware, mounted apps, handlers."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support import closed_port
from tests.support.scenario import play

_APP = """
import contextlib, logging
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from seedcore_ray import RayConnectionError
from seedcore_ray.fastapi import health_router, ray_lifespan, require_ray
def lost():
    return RayConnectionError("gone", kind="lost", retry_after_s=2.5)
def raises(error):
    async def endpoint(request):
        raise error
    return endpoint
def ask(client, path):
    answer = client.get(path)
    return [answer.status_code, answer.headers.get("Retry-After"), answer.text]
"""


@pytest.fixture
def nowhere() -> str:
    """An address where nobody listens."""
    return f"127.0.0.1:{closed_port()}"


def test_the_own_lifespan_is_around_ours_or_within(nowhere: str) -> None:
    told = play(
        _APP
        + """
steps = []
def own(name):
    @contextlib.asynccontextmanager
    async def lifespan(app):
        steps.append(name + " up " + str(hasattr(app.state, "ray")))
        yield {"pool": name}
        steps.append(name + " down " + seedcore_ray.connection().state)
    return lifespan
@contextlib.asynccontextmanager
async def inside_out(app):
    async with ray_lifespan(wait_s=0)(app):
        async with own("inner")(app) as state:
            yield state
async def pool(request):
    return PlainTextResponse(request.state.pool)
for lifespan in (ray_lifespan(wait_s=0, lifespan=own("outer")), inside_out):
    with TestClient(Starlette(routes=[Route("/", pool)], lifespan=lifespan)) as client:
        steps.append(client.get("/").text)
report(steps=steps)
""",
        RAY_ADDRESS=nowhere,
    )
    assert told["steps"] == [
        *("outer up False", "outer", "outer down idle"),
        *("inner up True", "inner", "inner down connecting"),
    ]


def test_starlette_alone_is_enough(nowhere: str) -> None:
    told = play(
        "import sys\nsys.modules['fastapi'] = None\n"
        + _APP
        + """
async def guarded(request):
    return PlainTextResponse(str(await require_ray(request)))
routes = [Route("/guarded", guarded), *health_router().routes]
with TestClient(Starlette(routes=routes, lifespan=ray_lifespan(wait_s=0))) as client:
    report(live=ask(client, "/livez"), ready=ask(client, "/readyz"))
    report(guarded=ask(client, "/guarded"))
# Without our lifespan: as far as the connection goes.
client = TestClient(Starlette(routes=routes))
report(bare=[ask(client, path)[0] for path in ("/livez", "/readyz", "/guarded")])
""",
        RAY_ADDRESS=nowhere,
    )
    assert told["live"][0] == 200
    assert told["ready"][:2] == [503, "5"] and told["guarded"][:2] == [503, "5"]
    assert told["bare"] == [200, 503, 503]


def test_a_mounted_app_that_answers_500_before_it_raises(nowhere: str) -> None:
    told = play(
        _APP
        + """
mounted = Starlette(routes=[Route("/lost", raises(lost())), Route("/broken", raises(KeyError()))])
app = Starlette(routes=[Mount("/sub", mounted)], lifespan=ray_lifespan(wait_s=0))
with TestClient(app, raise_server_exceptions=False) as client:
    report(lost=ask(client, "/sub/lost"), broken=ask(client, "/sub/broken"))
""",
        RAY_ADDRESS=nowhere,
    )
    assert told["lost"] == [503, "3", "gone"]
    assert told["broken"][0] == 500


def test_what_an_exception_comes_from_decides(nowhere: str) -> None:
    told = play(
        _APP
        + """
import ray
def caused(error, cause):
    error.__cause__ = cause
    return error
class OfTheNetwork(ConnectionError):
    pass
ended = SystemExit(0)
ended.ray_terminate_msg = "as Ray ends a blocked call"
errors = {
    "/ours": lost(),
    "/wrapped": caused(RuntimeError("wrapped"), lost()),
    "/exit": ended,
    "/rays": ray.exceptions.RaySystemError("not been started"),
    "/client": ConnectionError("the data channel"),
    "/task": ray.exceptions.RayTaskError("f", "traceback", KeyError("a mistake")),
    "/task-of-ray": ray.exceptions.RayTaskError("f", "", ray.exceptions.RaySystemError("gcs")),
    "/other-network": OfTheNetwork("the database"),
    "/timeout": TimeoutError(),
}
routes = [Route(path, raises(error)) for path, error in errors.items()]
handled = []
async def handler(request, error):
    handled.append(error.status_code)
    return PlainTextResponse("in our own words", error.status_code, headers=error.headers)
app = Starlette(routes=routes, lifespan=ray_lifespan(wait_s=0), exception_handlers={503: handler})
with TestClient(app, raise_server_exceptions=False) as client:
    report(answers={path: client.get(path).status_code for path in errors}, handled=len(handled))
""",
        RAY_ADDRESS=nowhere,
    )
    away = {path for path, status in told["answers"].items() if status == 503}
    assert away == {"/ours", "/wrapped", "/exit", "/rays", "/client", "/task-of-ray"}
    assert set(told["answers"].values()) == {500, 503}
    assert told["handled"] == len(away), "the app says it in its own words"


def test_an_answer_that_has_begun_and_websockets(nowhere: str) -> None:
    told = play(
        _APP
        + """
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
async def stream(request):
    async def chunks():
        yield b"the first"
        raise lost()
    return StreamingResponse(chunks())
async def accepted(websocket):
    await websocket.accept()
    raise lost()
async def guarded(websocket):
    await require_ray(websocket)
routes = [Route("/stream", stream), WebSocketRoute("/accepted", accepted),
          WebSocketRoute("/guarded", guarded)]
def raised(enter):
    try:
        with enter as it:
            it.read() if hasattr(it, "read") else it.receive_text()
    except (RayConnectionError, WebSocketDisconnect, WebSocketDenialResponse) as error:
        return [type(error).__name__, getattr(error, "code", None),
                getattr(error, "status_code", None)]
with TestClient(Starlette(routes=routes, lifespan=ray_lifespan(wait_s=0))) as client:
    report(stream=raised(client.stream("GET", "/stream")),
           accepted=raised(client.websocket_connect("/accepted")),
           guarded=raised(client.websocket_connect("/guarded")))
""",
        RAY_ADDRESS=nowhere,
    )
    assert told["stream"] == ["RayConnectionError", None, None], "too late for a 503, so it breaks"
    assert told["accepted"] == ["WebSocketDisconnect", 1013, None]
    assert told["guarded"] == ["WebSocketDenialResponse", None, 503]


def test_on_ready_that_fails_is_called_again_and_the_connection_is_closed(
    ray_head: RayHead,
) -> None:
    told = play(
        _APP
        + """
import ray
calls = []
async def on_ready(app):
    calls.append(threading.current_thread().name)
    if len(calls) == 1:
        raise ValueError("not yet")
    return "made"
def on_thread(app):
    calls.append(threading.current_thread() is threading.main_thread())
    return "made on a thread"
async def made(request):
    return PlainTextResponse(await require_ray(request))
routes = [Route("/made", made), *health_router().routes]
app = Starlette(routes=routes, lifespan=ray_lifespan(on_ready=on_ready, wait_s=0))
with TestClient(app) as client:
    seen = set()
    while client.get("/readyz").status_code != 200:
        seen.add(client.get("/readyz").json().get("cause", {}).get("message"))
    report(made=client.get("/made").text, seen=sorted(map(str, seen)), state=app.state.ray)
report(after=[app.state.ray, seedcore_ray.connection().state, ray.is_initialized()])

ensure_ray_initialized()
app = Starlette(routes=routes, lifespan=ray_lifespan(on_ready=on_thread, wait_s=30))
with TestClient(app) as client:
    report(second=client.get("/made").text)
report(kept=[seedcore_ray.connection().state, seedcore_ray.generation()])
""",
        RAY_ADDRESS=ray_head.gcs_address,
    )
    assert told["made"] == told["state"] == "made"
    assert any("on_ready failed with ValueError" in message for message in told["seen"])
    assert told["after"] == [None, "idle", False]
    assert told["second"] == "made on a thread"
    assert told["kept"] == ["connected", 2], "what was there before us stays"


def test_a_wait_that_cannot_be() -> None:
    told = play(
        """
from seedcore_ray.fastapi import ray_lifespan
said = []
for wait_s in (-1, float("nan"), float("inf"), None, "1"):
    try:
        ray_lifespan(wait_s=wait_s)
    except (TypeError, ValueError) as error:
        said.append([type(error).__name__, str(error).partition(" ")[0]])
report(said=said)
"""
    )
    assert told["said"] == [["ValueError", "wait_s"]] * 3 + [["TypeError", "wait_s"]] * 2


def test_a_choice_that_there_is_not() -> None:
    told = play(
        """
from seedcore_ray.fastapi import ray_lifespan
said = []
for choice in ("wait", None, True):
    try:
        ray_lifespan(while_unhealthy=choice)
    except ValueError as error:
        said.append("while_unhealthy" in str(error))
report(said=said)
"""
    )
    assert told["said"] == [True] * 3
