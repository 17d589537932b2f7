"""Two clusters at once, beside a main connection to one of them."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support.modes import MOSTLY_NATIVE
from tests.support.scenario import play


@pytest.mark.parametrize("main", MOSTLY_NATIVE)
def test_two_pools_and_a_main_connection(ray_head: RayHead, own_head: RayHead, main: str) -> None:
    result = play(
        """
from seedcore_ray import ConnectionPool, on_event
import ray
@ray.remote
def where(_):
    return ray.get_runtime_context().gcs_address
events = []
on_event(lambda event: events.append([event.pool, event.name]))
main, one, two = sys.argv[1:]
kwargs = {"max_size": 2, "timeout": 100}
assert ensure_ray_initialized(main)
ours = ray.get(where.remote(0))
first = ConnectionPool(one, **kwargs, name="one")
second = ConnectionPool(two, **kwargs, name="two")
with first, second:
    found = []
    def ask(pool, i):
        with pool.connection():
            found.append((pool.name, ray.get(where.remote(i))))
    threads = [threading.Thread(target=ask, args=(pool, i))
               for i in range(8) for pool in (first, second)]
    [thread.start() for thread in threads]
    found.append(("main", ray.get(where.remote(1))))
    [thread.join() for thread in threads]
    with first.connection():
        with second.connection():
            inner = ray.get(where.remote(1))
        nested = [ray.get(where.remote(1)), inner]
report(found=sorted(set(found)), nested=nested, ours=ours, events=events)
""",
        ray_head.gcs_address if main == "native" else ray_head.client_address,
        ray_head.client_address,
        own_head.client_address,
        deadline_s=110,
    )
    by_name: dict[str, str] = {}
    for name, address in result["found"]:
        assert by_name.setdefault(name, address) == address
    assert by_name["main"] == by_name["one"] == result["ours"]
    assert by_name["two"] != by_name["one"]
    assert result["nested"] == [by_name["one"], by_name["two"]]
    assert [None, "connected"] in result["events"]
    assert ["one", "connected"] in result["events"]
    assert ["two", "connected"] in result["events"]
