"""``RAY_grpc_enable_http_proxy=1``: a head that only a CONNECT proxy can reach."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from seedcore_ray.testing import RayHead
from tests.support import SilentListener, closed_port
from tests.support.proxy import ConnectProxy
from tests.support.scenario import run, start

_NAME = "only-the-proxy-knows.invalid"
_LOOK = """
    from seedcore_ray import _core
    report(look=_core.look(sys.argv[1]))
"""
_CONNECT = """
    ok, took = timed(ensure_ray_initialized, sys.argv[1], connect_timeout_s=float(sys.argv[2]))
    report(ok=ok, took=took, error=error(), said=[record.getMessage() for record in records])
"""
_WATCH = """
    seedcore_ray.start_monitor(interval_s=0.5)
    ok = ensure_ray_initialized(sys.argv[1])
    import ray
    report(ok=ok, error=error(), available=is_ray_available(),
           task=ok and ray.get(ray.remote(lambda: 42).remote()))
    mark("connected")
    end = time.monotonic() + 20
    while not logged("DEBUG", "could not connect to") and time.monotonic() < end:
        time.sleep(0.05)
    report(said=[record.getMessage() for record in records])
    os._exit(0)  # Ray waits for the head that it cannot reach
"""


@pytest.fixture
def proxy() -> Iterator[ConnectProxy]:
    """Leads the name to this machine, and wants a login."""
    with ConnectProxy([_NAME], login="me:hunter2") as listening:
        yield listening


def _told_to_use(url: str) -> dict[str, str]:
    return {"RAY_grpc_enable_http_proxy": "1", "grpc_proxy": url}


def _through(url: str, *args: str) -> dict[str, Any]:
    """What the connect of a program ended in that was told to use the proxy at ``url``."""
    return run(_CONNECT, *args, env=_told_to_use(url)).ok().fields


@pytest.mark.parametrize("mode", ["client", "native"])
def test_connects_and_watches_through_it(ray_head: RayHead, proxy: ConnectProxy, mode: str) -> None:
    port = ray_head.client_port if mode == "client" else ray_head.gcs_port
    prefix = "ray://" if mode == "client" else ""
    url = proxy.url.replace("//", "//me:hunter2@")
    with start(_WATCH, f"{prefix}{_NAME}:{port}", env=_told_to_use(url)) as program:
        program.wait_for_mark("connected")
        told = program.fields_so_far()
        assert told["ok"] and told["available"] and told["task"] == 42, told["error"]
        assert f"{_NAME}:{port}" in proxy.asked
        proxy.refusal = "503 Service Unavailable"
        proxy.drop_connections()
        told = program.finish(deadline_s=60).ok().fields
    failed = [line for line in told["said"] if "could not connect to" in line]
    assert any("the HTTP proxy 127.0.0.1:" in line and "503" in line for line in failed)
    assert "hunter2" not in str(told)


def test_its_refusals_are_its_own(ray_head: RayHead, proxy: ConnectProxy) -> None:
    address = f"ray://{_NAME}:{ray_head.client_port}"
    url = proxy.url.replace("//", "//me:hunter2@")
    wrong_login = _through(proxy.url.replace("//", "//me:x@"), address, "20")
    proxy.refusal = "403 Forbidden"
    forbidden = _through(url, address, "20")
    proxy.refusal = ""
    behind = _through(url, f"ray://{_NAME}:{closed_port()}", "0")
    gone = f"http://me:hunter2@127.0.0.1:{closed_port()}"
    no_proxy = _through(gone, address, "0")
    with SilentListener() as silent:
        mute = _through(f"http://{silent.address}", address, "0")
    for told, kind, words in (
        (wrong_login, "auth", "wants a login (HTTP/1.1 407 Proxy Authentication Required)"),
        (forbidden, "auth", "does not let us connect"),
        (behind, "not_ready", "could not connect to"),
        (no_proxy, "refused", "cannot be reached: connection refused"),
        (mute, "timeout", "cannot be reached: no answer"),
    ):
        error = told["error"]
        assert (told["ok"], error["kind"]) == (False, kind), error
        assert "the HTTP proxy 127.0.0.1:" in error["message"] and words in error["message"]
        assert "hunter2" not in str(told)
    assert wrong_login["took"] < 5 and forbidden["took"] < 5


@pytest.mark.parametrize(
    "env",
    [
        {"RAY_grpc_enable_http_proxy": "0"},
        {"RAY_grpc_enable_http_proxy": "1", "no_proxy": "127.0.0.0/8"},
    ],
)
def test_it_is_not_asked_where_ray_does_not(
    ray_head: RayHead, proxy: ConnectProxy, env: dict[str, str]
) -> None:
    env = {"grpc_proxy": proxy.url, **env}
    told = run(_LOOK, ray_head.client_address, env=env).ok().fields
    assert told["look"]["error"] is None
    assert proxy.asked == []
