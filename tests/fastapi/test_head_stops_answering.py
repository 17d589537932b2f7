"""The head of a FastAPI service stops answering: nothing new goes in, and nothing is lost yet."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seedcore_ray.testing import RayHead
from tests.fastapi.service import Service

# Time enough to ask around while the connection is unhealthy and not lost.
_PATIENT = {
    "RAY_gcs_rpc_server_reconnect_timeout_s": "120",
    "SEEDCORE_RAY_LOSS_GRACE_S": "100",
    "SEEDCORE_RAY_PROBE_TIMEOUT_S": "1",
}


@pytest.fixture
def head() -> Iterator[RayHead]:
    with RayHead() as head:
        yield head


@pytest.mark.timeout(180)
def test_it_is_refused_at_once_unless_the_service_wants_it_tried(head: RayHead) -> None:
    env = {"RAY_ADDRESS": head.gcs_address, **_PATIENT, **head.env()}
    with Service("late:app", env=env) as refusing, Service("late:trying", env=env) as trying:
        for service in (refusing, trying):
            service.wait_until_ready()
            assert service.ask("/made").json() == 42
        head.freeze("gcs_server")
        try:
            for service in (refusing, trying):
                service.wait_for_state("unhealthy")
            refused = refusing.ask("/made")
            assert refused.status_code == 503 and int(refused.headers["Retry-After"]) >= 1
            assert str(head.gcs_port) in refused.json()["detail"], refused.text
            assert trying.ask("/made").json() == 42
            for service in (refusing, trying):
                assert service.ask("/livez").status_code == 200
                assert service.ask("/readyz").status_code == 503
            assert refusing.ask("/constant").status_code == 200
        finally:
            head.thaw("gcs_server")
        for service in (refusing, trying):
            assert service.wait_until_ready()["generation"] == 1, "nothing was lost"
            assert service.ask("/made").json() == 42
