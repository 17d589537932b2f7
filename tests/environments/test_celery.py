"""Celery workers: their processes are forked, and their ``sys.stdout`` is a stand-in that logs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seedcore_ray.testing import RayHead
from tests.environments.celery_worker import CeleryWorker, redis


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.mark.parametrize(
    ("pool", "connects"),
    [
        ("prefork", "as a process begins"),
        pytest.param("prefork", "in the task", marks=pytest.mark.soak),
        ("threads", "in the task"),
        pytest.param("threads", "on import", marks=pytest.mark.soak),
    ],
)
def test_a_worker_connects_and_logs_once(
    broker: str, ray_head: RayHead, pool: str, connects: str
) -> None:
    with CeleryWorker(broker, pool, ray_head, {"CONNECTS": connects}) as worker:
        told = worker.ask("through_ray")
        assert told["made"] == 42 and told["stdout"] == "LoggingProxy"
        assert told["before"] == ("idle" if connects == "in the task" else "connected")
        worker.wait_for_line("hello from ray")
        logged = worker.stop()
    assert logged.count("hello from ray") == 1
    # Each process of a pool says it once; on import Celery has not set up its log yet.
    said = {"as a process begins": 2, "in the task": 1, "on import": 0}[connects]
    assert logged.count("connected to Ray at") == said, logged


def test_a_worker_that_was_forked_from_a_connected_one_is_told_so(
    broker: str, ray_head: RayHead
) -> None:
    with CeleryWorker(broker, "prefork", ray_head, {"CONNECTS": "on import"}) as worker:
        told = worker.ask("told")
        assert told["connected"] is False and told["kind"] == "forked"
        assert "after the fork" in told["hint"]
        worker.stop()


@pytest.mark.soak
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_what_bare_ray_does_there(broker: str, ray_head: RayHead, pool: str) -> None:
    """For docs/environments.md: once Ray connects there, its paragraph is wrong."""
    with CeleryWorker(broker, pool, ray_head, {"CONNECTS": "never"}) as worker:
        assert "no attribute 'fileno'" in worker.ask("bare")
        worker.stop()
