"""Without a connection, a stray ``.remote()`` starts no cluster, unless the user asked for that."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support.scenario import play

_TRY = """
def stray():
    import ray
    told = []
    for name, call in (("task", lambda: ray.remote(lambda: 1).remote()),
                       ("put", lambda: ray.put(1)),
                       ("actor", lambda: ray.remote(type("A", (), {})).remote()),
                       ("get_actor", lambda: ray.get_actor("nobody"))):
        try:
            call()
        except Exception as error:
            told.append([name, type(error).__name__])
        else:
            told.append([name, "started a cluster"])
            ray.shutdown()
    return told
"""
_REFUSED = [[name, "RaySystemError"] for name in ("task", "put", "actor", "get_actor")]


@pytest.mark.parametrize("imported", ["before", "after"])
@pytest.mark.parametrize("address", ["127.0.0.1:1", "no such://address"])
def test_after_a_failed_connect(imported: str, address: str) -> None:
    told = play(
        ("import ray\n" if imported == "before" else "")
        + _TRY
        + """
report(ok=ensure_ray_initialized(sys.argv[1], connect_timeout_s=0))
report(stray=stray(), token=os.path.exists(os.path.expanduser("~/.ray/auth_token")))
""",
        address,
    )
    assert told == {"ok": False, "stray": _REFUSED, "token": False}


@pytest.mark.parametrize("mode", ["native", "client"])
@pytest.mark.parametrize("imported", ["before", "after"])
def test_after_shutdown_ray(ray_head: RayHead, imported: str, mode: str) -> None:
    told = play(
        ("import ray\n" if imported == "before" else "")
        + _TRY
        + """
ensure_ray_initialized(sys.argv[1])
shutdown_ray()
report(stray=stray(), ok=ensure_ray_initialized(sys.argv[1]))
""",
        ray_head.gcs_address if mode == "native" else ray_head.client_address,
    )
    assert told == {"stray": _REFUSED, "ok": True}


@pytest.mark.parametrize("imported", ["before", "after"])
@pytest.mark.parametrize("value", ["1", "0"])
def test_whoever_sets_the_variable_decides(imported: str, value: str) -> None:
    told = play(
        ("import ray\n" if imported == "before" else "")
        + """
ensure_ray_initialized("127.0.0.1:1", connect_timeout_s=0)
from ray._private import auto_init_hook
report(enabled=auto_init_hook.enable_auto_connect, variable=os.environ["RAY_ENABLE_AUTO_CONNECT"])
""",
        RAY_ENABLE_AUTO_CONNECT=value,
    )
    assert told == {"enabled": value == "1", "variable": value}
