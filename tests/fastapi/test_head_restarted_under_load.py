"""The head of a FastAPI service dies and comes back under load: 503 meanwhile, and never a 500."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest

from seedcore_ray.testing import RayHead
from tests.fastapi.service import Answer, Load, Service, ask, head_of_agents
from tests.support import wait_until

_ALWAYS = [("GET", "/"), ("GET", "/livez")]
_WITH_RAY = [
    ("GET", "/agents/planner"),
    ("POST", "/agents/worker/work?seconds=0.05"),
    ("GET", "/awaits"),
    ("GET", "/blocks"),
]
# Under way when the head dies, and not over before it is lost.
_LONG = [
    ("POST", "/agents/planner/work?seconds=300"),
    ("GET", "/awaits?seconds=300"),
    ("GET", "/blocks?seconds=300"),
]


@pytest.fixture
def head() -> Iterator[RayHead]:
    with head_of_agents() as head:
        yield head


class _Long:
    """Requests that nobody would answer any more if nobody ended them."""

    def __init__(self, url: str) -> None:
        self.answers: list[Answer] = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(url)), daemon=True)
        self._thread.start()

    async def _run(self, url: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=100) as client:
            self.answers = await asyncio.gather(*(ask(client, *request) for request in _LONG))

    def all_answered(self) -> bool:
        return not self._thread.is_alive()


def _ride_through(head: RayHead, service: Service) -> Load:
    """Load, a long request of each kind, then the head dies and comes back. All that was said."""
    with Load(service.url, [*_ALWAYS, *_WITH_RAY, ("GET", "/readyz")]) as load:
        wait_until(lambda: all(load.of(path) for _, path in _WITH_RAY), 60, "first answers")
        long = _Long(service.url)
        # They are in Ray by the time that later ones have been answered.
        seen = len(load.answers)
        wait_until(lambda: len(load.answers) > seen + 50, 60, "the load to go on")
        head.shut()
        wait_until(long.all_answered, 90, "an end of the requests that were under way")
        head.start()
        wait_until(lambda: service.ask("/readyz").status_code == 200, 60, "readiness", every_s=0.2)
        seen = len(load.answers)
        wait_until(lambda: len(load.answers) > seen + 50, 60, "the load to go on")
    load.answers += long.answers
    return load


def _check(load: Load) -> None:
    odd = [answer for answer in load.answers if answer.status not in (200, 503)]
    said = Counter((answer.path, answer.status) for answer in load.answers)
    slowest = max(load.of("/"), key=lambda answer: answer.took_s)
    assert not odd, f"{odd}\n{said}\nslowest without Ray: {slowest}"
    for answer in load.answers:
        assert answer.status == 200 or int(answer.retry_after or 0) >= 1, answer
    for _, path in _ALWAYS:
        assert {answer.status for answer in load.of(path)} == {200}, path
    for _, path in _WITH_RAY:
        statuses = [answer.status for answer in load.of(path)]
        assert 503 in statuses, f"{path} was never away"
        assert statuses[0] == statuses[-1] == 200, f"{path} did not come back"
    for _, path in _LONG:
        assert [answer.status for answer in load.of(path)] == [503], path


def _check_end(service: Service) -> None:
    ended = service.stop()
    told = ended.told()
    # The server's own way to end, although Ray was connected twice.
    assert "Application shutdown complete" in ended.stderr, told
    assert "SIGTERM received" not in ended.stderr, told
    assert "Traceback" not in ended.stderr and "the middleware saw" not in ended.stdout, told


@pytest.mark.timeout(300)
def test_native_with_one_worker(head: RayHead) -> None:
    env = {"RAY_ADDRESS": head.gcs_address, **head.env()}
    with Service("unguarded:app", "--no-access-log", env=env) as service:
        assert service.wait_until_ready()["generation"] == 1
        _check(_ride_through(head, service))
        assert service.wait_until_ready()["generation"] == 2, "it is the process that it was"
        _check_end(service)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_ray_client_with_one_worker(head: RayHead) -> None:
    env = {"RAY_ADDRESS": head.client_address, **head.env()}
    with Service("unguarded:app", "--no-access-log", env=env) as service:
        service.wait_until_ready()
        _check(_ride_through(head, service))
        assert service.wait_until_ready()["generation"] == 2
        _check_end(service)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", ["native", "client"])
def test_four_workers(head: RayHead, mode: str) -> None:
    address = head.gcs_address if mode == "native" else head.client_address
    flags = ("--no-access-log", "--workers", "4")
    with Service("unguarded:app", *flags, env={"RAY_ADDRESS": address, **head.env()}) as service:
        service.wait_until_ready()
        _check(_ride_through(head, service))
        service.stop()
