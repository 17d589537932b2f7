"""``fake_ray``: scripted failures as services see them, and nothing of it stays behind."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType

import pytest
from seedcore.utils import ray_connector, ray_utils

import seedcore_ray
from seedcore_ray.testing import FakeRay


def test_a_service_connects_works_and_disconnects(fake_ray: FakeRay) -> None:
    assert not ray_utils.is_ray_available()
    assert ray_utils.ensure_ray_initialized("head:6379", "here", num_cpus=1)
    assert ray_utils.is_ray_available() and ray_connector.is_connected()
    assert ray_utils.test_ray_connection()
    (init,) = [call for call in fake_ray.calls if call.name == "init"]
    assert init.kwargs["namespace"] == "here" and init.kwargs["num_cpus"] == 1
    ray_utils.shutdown_ray()
    assert not ray_utils.is_ray_available()


def test_init_fails_as_often_as_told(fake_ray: FakeRay) -> None:
    fake_ray.fails("init", ConnectionError("no cluster"), times=2)
    assert [ray_utils.ensure_ray_initialized() for _ in range(3)] == [False, False, True]
    ray_utils.shutdown_ray()
    fake_ray.fails("init", ConnectionError("still none"))
    with pytest.raises(seedcore_ray.RayConnectionError, match="still none"):
        ray_connector.connect()
    fake_ray.works("init")
    ray_connector.connect()


def test_is_initialized_fails(fake_ray: FakeRay) -> None:
    fake_ray.init()
    fake_ray.fails("is_initialized", RuntimeError("half dead"))
    assert not ray_utils.is_ray_available()
    fake_ray.works("is_initialized")
    assert ray_utils.is_ray_available()


def test_tasks_run_in_place_and_fail_at_get(fake_ray: FakeRay) -> None:
    import ray

    double = ray.remote(num_cpus=1)(lambda number: 2 * number)
    with pytest.raises(RuntimeError, match="has not been started"):
        double.remote(1)
    ray.init()
    assert ray.get([double.remote(ray.put(4)), double.options(num_cpus=2).remote(5)]) == [8, 10]
    assert asyncio.run(_await(double.remote(3))) == 6
    ready, rest = ray.wait([double.remote(1), double.remote(2)])
    assert (len(ready), len(rest)) == (1, 1)
    failed = ray.remote(lambda: 1 / 0).remote()
    with pytest.raises(ZeroDivisionError):
        ray.get(failed)
    fake_ray.fails("task", MemoryError("too big"), times=1)
    refused, fine = double.remote(1), double.remote(1)
    with pytest.raises(MemoryError, match="too big"):
        ray.get(refused)
    assert ray.get(fine) == 2
    fake_ray.fails("get", TimeoutError("too slow"))
    with pytest.raises(TimeoutError):
        ray.get(fine, timeout=1)


async def _await(ref: object) -> object:
    return await ref  # type: ignore[misc]


class _Counter:
    def __init__(self, start: int) -> None:
        self.value = start

    def add(self, number: int) -> int:
        self.value += number
        return self.value


def test_actors_have_names_in_their_namespace(fake_ray: FakeRay) -> None:
    import ray

    remote = ray.remote(_Counter)
    ray.init(namespace="here")
    named = remote.options(name="counter", get_if_exists=True)
    counter = named.remote(1)
    assert ray.get(counter.add.remote(2)) == 3
    assert named.remote(100) is counter is ray.get_actor("counter", namespace="here")
    with pytest.raises(ValueError, match="already taken"):
        remote.options(name="counter").remote(1)
    with pytest.raises(ValueError, match="look up actor"):
        ray.get_actor("counter", namespace="elsewhere")
    fake_ray.fails("actor", OSError("node lost"))
    with pytest.raises(OSError, match="node lost"):
        ray.get(counter.add.remote(1))
    ray.kill(counter)
    with pytest.raises(ValueError, match="look up actor"):
        ray.get_actor("counter")


def test_what_cannot_be_scripted_is_refused(fake_ray: FakeRay) -> None:
    with pytest.raises(ValueError, match="one of init, is_initialized"):
        fake_ray.fails("initialise", RuntimeError())


@pytest.mark.parametrize("before", [None, ModuleType("ray")], ids=["no ray", "a ray"])
def test_what_was_there_comes_back(
    monkeypatch: pytest.MonkeyPatch, before: ModuleType | None
) -> None:
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    if before is not None:
        monkeypatch.setitem(sys.modules, "ray", before)
    with pytest.raises(KeyError), FakeRay() as fake:
        assert sys.modules["ray"] is fake
        raise KeyError
    assert sys.modules.get("ray") is before
