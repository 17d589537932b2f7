"""What importing our modules does: nothing but define names. And reloading, and lazy URLs."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest
from seedcore.utils import ray_connector, ray_utils

from seedcore_ray.testing import RayHead
from tests.support import run_program
from tests.support.scenario import play

_MODULES = (
    "seedcore_ray",
    "seedcore.utils.ray_utils",
    "seedcore.utils.ray_connector",
    "seedcore_ray._async_api",
)


def test_no_ray_no_asyncio_no_thread_no_socket_no_dns_no_signal_handler() -> None:
    told = run_program(
        f"""
        import os, signal, socket, sys, threading
        import _socket
        def forbidden(*args, **kwargs):
            raise AssertionError("touched the network")
        handlers = [signal.getsignal(number) for number in signal.valid_signals()]
        variables = dict(os.environ)
        sys.addaudithook(lambda event, args: forbidden() if event.startswith("socket.") else None)
        for module in {_MODULES!r}:
            __import__(module)
        report(
            imported=[name for name in ("ray", "grpc", "asyncio") if name in sys.modules],
            threads=len(os.listdir("/proc/self/task")), python_threads=threading.active_count(),
            sockets=[name for fd in os.listdir("/proc/self/fd")
                     if os.path.exists(f"/proc/self/fd/{{fd}}")
                     and "socket" in (name := os.readlink(f"/proc/self/fd/{{fd}}"))],
            handlers=handlers == [signal.getsignal(number) for number in signal.valid_signals()],
            variables=variables == dict(os.environ),
        )
        """,
        env={"RAY_ADDRESS": "ray://no-such-head.invalid:10001", "SERVE_GATEWAY": ""},
    ).ok()
    assert told.fields == {
        "imported": [],
        "threads": 1,
        "python_threads": 1,
        "sockets": [],
        "handlers": True,
        "variables": True,
    }


def test_the_package_loads_the_extension_when_it_is_asked_for_something() -> None:
    told = run_program(
        """
        import sys
        import seedcore_ray
        before = "seedcore_ray._core" in sys.modules
        missing = [name for name in seedcore_ray.__all__ if name not in dir(seedcore_ray)]
        same = [name for name in seedcore_ray.__all__
                if getattr(seedcore_ray, name) is not getattr(seedcore_ray, name)]
        names = {}
        exec("from seedcore_ray import *", names)
        try:
            seedcore_ray.no_such_name
        except AttributeError as error:
            words = str(error)
        report(before=before, missing=missing, same=same, words=words,
               lost=[name for name in seedcore_ray.__all__ if name not in names],
               kept="connect" in vars(seedcore_ray), core=seedcore_ray._core.__name__)
        """
    ).ok()
    assert told.fields == {
        **{"before": False, "missing": [], "same": [], "lost": [], "kept": True},
        "words": "module 'seedcore_ray' has no attribute 'no_such_name'",
        "core": "seedcore_ray._core",
    }


def test_urls_are_computed_at_first_access_and_refreshed_on_demand() -> None:
    told = play(
        """
        import importlib
        from seedcore.utils import ray_utils
        lazy = [name for name in ("ML", "COG", "ORG", "SERVE_GATEWAY") if name in vars(ray_utils)]
        os.environ.update(SERVE_GATEWAY="gw.example:81", ML_BASE_PATH="/x", SERVE_BASE_PATH="m/")
        first = [ray_utils.SERVE_GATEWAY, ray_utils.ML, ray_utils.COG, ray_utils.ORG]
        os.environ.update(SERVE_GATEWAY="https://other", COG_BASE_PATH=" ", ORG_BASE_PATH="/o//")
        kept = ray_utils.ML
        refreshed = ray_utils.refresh_gateway_and_paths()
        second = [ray_utils.SERVE_GATEWAY, ray_utils.ML, ray_utils.COG, ray_utils.ORG]
        os.environ["SERVE_GATEWAY"] = "http://third:1"
        importlib.reload(ray_utils)
        reloaded = ray_utils.SERVE_GATEWAY
        os.environ["SERVE_GATEWAY"] = "http://fourth:1"
        del sys.modules["seedcore.utils.ray_utils"]
        again = importlib.import_module("seedcore.utils.ray_utils")
        popped = again.SERVE_GATEWAY
        os.environ["SERVE_GATEWAY"] = "http://fifth:1"
        report(lazy=lazy, first=first, kept=kept, refreshed=refreshed, second=second,
               reloaded=reloaded, popped=popped, blank=again.get_serve_urls(" ")["gateway"],
               urls=again.get_serve_urls("host", "/a", "b"),
               names=[again.ENV_RAY_ADDRESS, again.DEFAULT_RAY_PORT, again.DEFAULT_SERVE_PORT,
                      again.DEFAULT_API_NS_ENV],
               ray="ray" in sys.modules)
        """
    )
    assert told["lazy"] == []
    gateway = "http://gw.example:81"
    assert told["first"] == [gateway, f"{gateway}/m", f"{gateway}/cognitive", f"{gateway}/organism"]
    assert told["kept"] == f"{gateway}/m"
    other = told["second"][0]
    assert other.startswith("https://other")
    assert told["second"] == [other, f"{other}/m", f"{other}/cognitive", f"{other}/o"]
    assert told["refreshed"] == {
        "gateway": other,
        "ml_root": f"{other}/m/",
        "ml_health": f"{other}/m/health",
        "ml_salience": f"{other}/m/score/salience",
        "cog_root": f"{other}/cognitive/",
        "cog_health": f"{other}/cognitive/health",
    }
    assert told["reloaded"] == "http://third:1" and told["popped"] == "http://fourth:1"
    assert told["blank"] == told["popped"]
    assert told["urls"]["ml_health"] == "http://host:8000/a/health"
    assert told["urls"]["cog_root"] == "http://host:8000/b/"
    assert told["names"] == ["RAY_ADDRESS", 10001, 8000, "SEEDCORE_NS"]
    assert told["ray"] is False


@pytest.mark.parametrize("way", ["reload", "pop"])
def test_a_reload_keeps_the_connection(ray_head: RayHead, way: str) -> None:
    told = play(
        """
        import importlib
        from seedcore.utils import ray_connector, ray_utils
        ensure_ray_initialized()
        fresh = []
        for module in (ray_utils, ray_connector):
            if sys.argv[1] == "reload":
                fresh.append(importlib.reload(module))
            else:
                del sys.modules[module.__name__]
                fresh.append(importlib.import_module(module.__name__))
        utils, connector = fresh
        report(ok=utils.ensure_ray_initialized(), available=utils.is_ray_available(),
               connected=connector.is_connected(), generation=seedcore_ray.generation())
        """,
        way,
        RAY_ADDRESS=ray_head.gcs_address,
    )
    assert told == {"ok": True, "available": True, "connected": True, "generation": 1}


def test_signatures_are_those_of_the_contract() -> None:
    connects = (
        "(ray_address=None, ray_namespace='seedcore-dev', force_reinit=False, *, "
        "connect_timeout_s=None, **init_kwargs)"
    )
    expected: dict[Callable[..., object], str] = {
        ray_utils.ensure_ray_initialized: connects,
        ray_connector.wait_for_ray_ready: "(max_wait_seconds=5)",
        ray_connector.connect: connects,
        ray_utils.shutdown_ray: "()",
    }
    for function, signature in expected.items():
        assert str(inspect.signature(function)) == signature
    assert inspect.iscoroutinefunction(ray_connector.ensure_runtime_ready)
