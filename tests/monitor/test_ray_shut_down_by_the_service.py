"""The service's own ``ray.shutdown()`` while all is well: its wish, no loss, nothing undone."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support.modes import MOSTLY_NATIVE
from tests.support.monitored import address_of, play


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_it_stays_down_until_somebody_asks(ray_head: RayHead, mode: str) -> None:
    told = play(
        """
import ray
seedcore_ray.on_event(hear)
seedcore_ray.start_monitor(interval_s=0.02)
def watched():
    return any(thread.name == "seedcore-ray-monitor" for thread in threading.enumerate())
inits = count_inits()
ensure_ray_initialized()
await_true(watched)
ray.shutdown()
await_true(lambda: not watched())  # nobody has called us in between
report(noticed=[state(), is_connected(), ray.is_initialized(), held()["generation"]])
time.sleep(0.5)  # for whoever would connect again
report(later=[state(), ray.is_initialized(), len(inits)])
report(back=[ensure_ray_initialized(), is_ray_available(), ray.is_initialized()])
await_true(watched)
seedcore_ray.start_monitor(interval_s=3600)
ray.shutdown()
report(next_call=[ensure_ray_initialized(), len(inits), state()])
await_true(lambda: len(heard) >= 5)
report(names=names(), problems=logged("WARNING") + logged("ERROR"),
       generation=seedcore_ray.generation(), metrics=seedcore_ray.metrics_text())
""",
        RAY_ADDRESS=address_of(ray_head, mode),
    )
    assert told["noticed"] == ["idle", False, False, 1]
    assert told["later"] == ["idle", False, 1], "nobody has asked for another"
    assert told["back"] == [True, True, True]
    assert told["next_call"] == [True, 3, "connected"], "the very next call has noticed"
    assert (
        told["names"] == ["connected", "shutdown"] * 2 + ["connected"] and told["generation"] == 3
    )
    assert told["problems"] == []
    assert "connection_losses_total 0\n" in told["metrics"]
