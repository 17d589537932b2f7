"""gunicorn --preload imports the service once and forks its workers from that."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.fastapi.service import Service

_PRELOAD = ("--preload", "--worker-class")


@pytest.mark.parametrize(
    "worker", ["uvicorn.workers.UvicornWorker", pytest.param("asgi", marks=pytest.mark.soak)]
)
def test_each_worker_connects_for_itself(ray_head: RayHead, worker: str) -> None:
    env = {"RAY_ADDRESS": ray_head.gcs_address, **ray_head.env()}
    flags = (*_PRELOAD, worker, "--workers", "2")
    with Service("late:app", *flags, server="gunicorn", env=env) as service:
        service.wait_until_ready()
        pids = set()
        for _ in range(200):
            pids.add(service.ask("/constant").json()["pid"])
            if len(pids) == 2 and service.ask("/made").json() == 42:
                break
        assert len(pids) == 2
        assert service.stop().rc == 0


def test_a_service_that_connects_on_import_is_told_so(ray_head: RayHead) -> None:
    env = {"RAY_ADDRESS": ray_head.gcs_address, **ray_head.env()}
    # One worker: of two that fail at once gunicorn's arbiter reaps the second while it halts for
    # the first, and then ends with a traceback and code 1 instead of 3.
    flags = (*_PRELOAD, "uvicorn.workers.UvicornWorker", "--workers", "1")
    with Service("connected_at_import:app", *flags, server="gunicorn", env=env) as service:
        ended = service.finish(60)
    assert ended.rc == 3, ended.told()
    assert "was forked from one that was connected to Ray" in ended.stderr, ended.told()
    assert "Connect after the fork" in ended.stderr
