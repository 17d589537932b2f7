"""A day of looks in a minute: no memory, descriptor or thread is lost on the way."""

from __future__ import annotations

from typing import Any

import pytest

from seedcore_ray.testing import RayHead
from tests.support.modes import MOSTLY_NATIVE
from tests.support.monitored import address_of, play

_MIB = 1024 * 1024

_LOOKS = """
import contextlib, gc
from pathlib import Path
from seedcore_ray import metrics_text
warm, many = map(int, sys.argv[1:])
def looks(outcome="answered"):
    name = f'probe_duration_seconds_count{{outcome="{outcome}"}} '
    return int(float(metrics_text().partition(name)[2].partition("\\n")[0] or 0))
def passed(number):
    while looks() < number:
        time.sleep(0.2)
def threads():
    # Python's and ours: those of Ray and its gRPC come and go as they like.
    ours, number = (Path("/proc/self/comm").read_text(), "seedcore"), 0
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            number += (task / "comm").read_text().startswith(ours)
    return number
def sizes():
    gc.collect()
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"rss": int(fields["VmRSS"].split()[0]) * 1024,
            "descriptors": len(os.listdir("/proc/self/fd")), "threads": threads()}
seedcore_ray.start_monitor(interval_s=0.002)
assert ensure_ray_initialized()
passed(warm)
first, began, cpu = sizes(), time.monotonic(), time.process_time()
passed(looks() + many)
wall_s, cpu_s = time.monotonic() - began, time.process_time() - cpu
last, end = sizes(), time.monotonic() + 15
while last["descriptors"] > first["descriptors"] and time.monotonic() < end:
    # A connection that was dropped waits for the server's end, 10 s at most.
    time.sleep(0.2)
    last = sizes()
seedcore_ray.stop_monitor()
report(first=first, last=last, failed=looks("failed"), wall_s=wall_s, cpu_s=cpu_s, state=state())
# What Ray itself makes of the same time.
time.sleep(float(os.environ.get("ALONE_S", 0)) and wall_s)
report(alone=sizes())
"""


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_five_hundred_looks(ray_head: RayHead, mode: str) -> None:
    told = play(_LOOKS, "200", "500", RAY_ADDRESS=address_of(ray_head, mode))
    _check(told)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", ["native", "client"])
def test_ten_thousand_looks(ray_head: RayHead, mode: str) -> None:
    address = address_of(ray_head, mode)
    told = play(_LOOKS, "1000", "10000", RAY_ADDRESS=address, ALONE_S="1", deadline_s=500)
    grown, alone = (told[to]["rss"] - told[since]["rss"] for since, to in _SPANS)
    per_look = told["cpu_s"] / 10_000
    print(
        f"{mode}: 10,000 looks in {told['wall_s']:.0f} s, {per_look * 1e6:.0f} us of CPU each "
        f"(Ray's own included); RSS {told['first']['rss'] / _MIB:.1f} MiB {grown / 1024:+.0f} KiB; "
        f"{told['last']['descriptors']} descriptors, {told['last']['threads']} threads; "
        f"as long without a monitor {alone / 1024:+.0f} KiB"
    )
    _check(told)
    assert grown < _MIB


_SPANS = (("first", "last"), ("last", "alone"))


def _check(told: dict[str, Any]) -> None:
    assert told["failed"] == 0 and told["state"] == "connected"
    for what in ("descriptors", "threads"):
        assert told["last"][what] <= told["first"][what], what
