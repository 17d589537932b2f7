"""Loopback names: natively Ray dials this machine's own address in their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedcore_ray.testing import RayHead
from tests.support import Authority, TcpRelay
from tests.support.certs import node_ip
from tests.support.peers import HOST
from tests.support.scenario import play, run


@pytest.fixture(scope="module", name="node_ip")
def _node_ip() -> str:
    """This machine's own address as Ray finds it."""
    found = node_ip()
    if found == HOST:
        pytest.skip("this machine has no address but loopback ones")
    return found


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_tunnel_is_told_at_once(ray_head: RayHead, node_ip: str, name: str) -> None:
    with TcpRelay((HOST, ray_head.gcs_port), host=HOST) as tunnel:
        told = play(
            """
            ok, took = timed(ensure_ray_initialized, sys.argv[1])
            report(ok=ok, took=took, error=error())
            """,
            f"{name}:{tunnel.port}",
        )
        error = told["error"]
        assert (told["ok"], error["kind"]) == (False, "wrong_port")
        assert f"{node_ip}:{tunnel.port} in place of {name}:{tunnel.port}" in error["message"]
        assert "Use ray:// for tunnels" in error["hint"]
        assert told["took"] < 2.0


def test_a_port_where_nobody_listens_says_where_it_looked(node_ip: str) -> None:
    told = play(
        """
        import socket
        with socket.socket() as free:
            free.bind(("0.0.0.0", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
            report(ok=ensure_ray_initialized(address, connect_timeout_s=0), error=error())
        """
    )
    assert (told["ok"], told["error"]["kind"]) == (False, "refused")
    assert f"natively Ray dials {node_ip}:" in told["error"]["message"]


def test_a_gcs_at_the_machines_own_address_alone(ray_head: RayHead, node_ip: str) -> None:
    # The GCS of newer Rays may listen there and not on the loopback address.
    with TcpRelay((HOST, ray_head.gcs_port), host=node_ip) as gcs:
        told = play(
            """
            ok = ensure_ray_initialized(sys.argv[1], connect_timeout_s=0)
            report(ok=ok, error=error(), held=held(), available=is_ray_available())
            shutdown_ray()
            import ray
            ray.init(sys.argv[1])
            report(bare=ray.is_initialized())
            """,
            f"127.0.0.1:{gcs.port}",
        )
    assert told["bare"]
    assert told["ok"] and told["available"], told["error"]
    assert told["held"]["address"] == f"127.0.0.1:{gcs.port}"


@pytest.mark.soak  # a head of its own
def test_a_certificate_for_the_machines_own_address_alone(node_ip: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.issue("head", names=(f"IP:{node_ip}",))
    with RayHead(tls=files) as head:
        ran = run(
            """
            ok = ensure_ray_initialized(sys.argv[1], connect_timeout_s=0)
            report(ok=ok, error=error(), available=is_ray_available())
            """,
            head.gcs_address,
            env=files.env(),
        )
    told = ran.ok().fields
    assert told["ok"] and told["available"], told["error"]
