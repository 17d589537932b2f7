"""``is_ray_available`` and ``is_connected``: from the monitor while that knows, else bounded."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support import SOON_S, TcpRelay
from tests.support.modes import MOSTLY_NATIVE
from tests.support.monitored import address_of, play
from tests.support.scenario import start

_ASK = """
import ray
from seedcore_ray import metrics_text
def looks():
    lines = [line.split() for line in metrics_text().splitlines()
             if line.startswith("seedcore_ray_probe_duration_seconds_count")]
    return sum(int(float(line[-1])) for line in lines)
def ask(times):
    return [[is_ray_available(), is_connected()] for _ in range(times)].count([True, True])
"""


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_a_fresh_monitor_answers_without_one(ray_head: RayHead, mode: str) -> None:
    told = play(
        _ASK
        + """
ensure_ray_initialized()
seedcore_ray.start_monitor(interval_s=0.5)
before = looks()
await_true(lambda: looks() > before)
# The next look may come in the middle of it: any one of three tries may be free of looks.
tries = []
for _ in range(3):
    before = looks()
    tries.append([ask(1000), looks() - before])
seedcore_ray.stop_monitor()
before = looks()
report(tries=tries, without=[ask(20), looks() - before])
""",
        RAY_ADDRESS=address_of(ray_head, mode),
    )
    assert [right for right, _ in told["tries"]] == [1000] * 3
    assert min(looks for _, looks in told["tries"]) == 0
    assert max(looks for _, looks in told["tries"]) < 10, "those of the monitor"
    assert told["without"] == [20, 40], "a round trip each"


def test_on_a_silent_network_a_look_is_bounded_and_the_truth(ray_head: RayHead) -> None:
    host, port = ray_head.client_address.removeprefix("ray://").split(":")
    with TcpRelay((host, int(port))) as relay:
        source = (
            "from monitoring import *\n"
            + _ASK
            + """
seedcore_ray.stop_monitor()
ensure_ray_initialized()
before = ask(1)
mark("connected")
sys.stdin.readline()
unwatched = [timed(is_ray_available), timed(is_connected)]
seedcore_ray.start_monitor(interval_s=0.2, misses=2)
await_state("unhealthy", deadline_s=30)
watched = [timed(is_ray_available), timed(is_connected)]
report(before=before, unwatched=unwatched, watched=watched)
mark("silent")
sys.stdin.readline()
await_state("connected", deadline_s=30)
await_true(is_ray_available)
before = looks()
report(after=ask(3))
os._exit(0)
"""
        )
        env = {
            "RAY_ADDRESS": f"ray://{relay.address}",
            "SEEDCORE_RAY_PROBE_TIMEOUT_S": "0.4",
        }
        with start(source, env=env) as program:
            program.wait_for_mark("connected")
            relay.pause()
            program.tell("it is silent")
            program.wait_for_mark("silent")
            relay.resume()
            program.tell("it is not")
            told = program.finish(60).ok().fields
    assert told["before"] == 1 and told["after"] == 3
    for answer, seconds in (*told["unwatched"], *told["watched"]):
        assert answer is False and seconds < SOON_S
