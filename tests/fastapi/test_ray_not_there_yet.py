"""A FastAPI service that starts before its cluster: it answers, says why not, and gets ready."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seedcore_ray.testing import RayHead
from tests.fastapi.service import Service
from tests.support import TcpRelay, closed_port, wait_until


@pytest.fixture
def late() -> Iterator[tuple[Service, int]]:
    """The service and the port of its Ray Client server, which is closed."""
    port = closed_port()
    env = {"RAY_ADDRESS": f"ray://127.0.0.1:{port}"}
    with Service("late:app", env=env) as service:
        service.wait_until_serving()
        yield service, port


def test_everything_but_ray_is_answered(late: tuple[Service, int]) -> None:
    service, port = late
    assert service.ask("/livez").json() == {"alive": True}
    assert service.ask("/constant").status_code == 200

    def refused() -> bool:
        return "connection refused" in service.ask("/readyz").text

    wait_until(refused, 60, "the cause in /readyz")
    readiness = service.ask("/readyz")
    told = readiness.json()
    assert readiness.status_code == 503 and int(readiness.headers["Retry-After"]) >= 1
    assert (told["ready"], told["state"], told["generation"]) == (False, "connecting", 0)
    assert str(port) in told["cause"]["message"], told

    for path in ("/made", "/put"):
        answer = service.ask(path)
        assert answer.status_code == 503 and int(answer.headers["Retry-After"]) >= 1, path
        assert "refused" in answer.json()["detail"], path
    assert service.ask("/broken").status_code == 500, "a mistake stays one, with or without Ray"
    ended = service.stop()
    assert "Application shutdown complete" in ended.stderr, ended.told()


def test_it_is_ready_once_the_cluster_is_there(
    late: tuple[Service, int], ray_head: RayHead
) -> None:
    service, port = late
    pid = service.ask("/constant").json()["pid"]
    assert service.ask("/readyz").status_code == 503
    with TcpRelay(("127.0.0.1", ray_head.client_port), port):
        told = service.wait_until_ready()
        assert told["address"].endswith(str(port)) and "cause" not in told
        assert service.ask("/made").json() == 42
        assert service.ask("/put").status_code == 200
        assert service.ask("/constant").json()["pid"] == pid

        # What is not for want of Ray is told as what it is.
        for path in ("/broken", "/task-fails", "/actor-died"):
            assert service.ask(path).status_code == 500, path
        assert service.ask("/made").json() == 42
        service.stop()
