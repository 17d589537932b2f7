"""``module://anything``: Ray hands it to the ``ClientBuilder`` of that module."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedcore_ray.testing import RayHead
from tests.support.scenario import play

_CLOUD = """
from ray.client_builder import ClientBuilder as Rays

class ClientBuilder(Rays):
    def __init__(self, inner):
        super().__init__(inner.partition("@")[2] or inner)
"""


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of importable modules: a client, and one that is none."""
    (tmp_path / "mycloud.py").write_text(_CLOUD)
    (tmp_path / "plain.py").touch()
    return tmp_path


def test_a_module_with_a_client_connects(ray_head: RayHead, modules: Path) -> None:
    host = ray_head.client_address.removeprefix("ray://")
    told = play(
        """
        _, folder, address = sys.argv
        sys.path.insert(0, folder)
        ok, took = timed(ensure_ray_initialized, address)
        again = ensure_ray_initialized(address)
        import ray
        report(ok=ok, took=took, again=again, error=error(), held=held(),
               available=is_ray_available(), task=ray.get(ray.remote(lambda: 42).remote()),
               said=[record.getMessage() for record in records])
        shutdown_ray()
        report(after=held()["state"], available_after=is_ray_available())
        """,
        str(modules),
        f"mycloud://user:hunter2@{host}",
    )
    assert told["ok"] and told["again"] and told["available"], told["error"]
    assert told["task"] == 42 and told["held"]["mode"] == "client"
    assert told["held"]["address"] == f"mycloud://***@{host}"
    assert told["after"] == "idle" and told["available_after"] is False
    assert "hunter2" not in str(told)


def test_what_is_no_client_is_refused_as_ever(modules: Path) -> None:
    told = play(
        """
        sys.path.insert(0, sys.argv[1])
        verdicts = {}
        for address in ("nocloud://prod", "http://prod:8265", "grpc://prod:10001", "code://prod",
                        "seedcore_ray://prod:10001"):
            ok, took = timed(ensure_ray_initialized, address, connect_timeout_s=0)
            verdicts[address] = [ok, error()["kind"], error()["message"]]
        report(verdicts=verdicts, ray_was_imported="ray" in sys.modules)
        ok = ensure_ray_initialized("plain://prod:10001", connect_timeout_s=0)
        report(plain=[ok, error()["kind"], error()["message"]])
        """,
        str(modules),
    )
    for address, (ok, kind, message) in told["verdicts"].items():
        scheme = address.partition("://")[0]
        assert (ok, kind) == (False, "invalid_address"), message
        assert f"its scheme is `{scheme}`" in message and "ray://prod:10001" in message
    assert told["ray_was_imported"] is False
    # Only Ray's own import shows that this module has no client.
    ok, kind, message = told["plain"]
    assert (ok, kind) == (False, "invalid_address"), message
    assert "Did you mean `ray://prod:10001`?" in message
