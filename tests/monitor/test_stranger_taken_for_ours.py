"""A library's own ``ray.init()`` while the cluster is away: another cluster is no recovery."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seedcore_ray.testing import RayHead
from tests.support.modes import MOSTLY_NATIVE
from tests.support.monitored import address_of, start

_RIDES = """
import tempfile
connected(sys.argv[1])
await_state("reconnecting")
mark("away")
def is_said(text):
    return any(text in line for line in logged("ERROR"))
def look():
    return [state(), is_ray_available(), ensure_ray_initialized(), seedcore_ray.generation()]
"""
_STRANGER = (
    _RIDES
    + """
with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as folder:
    ray.init("local", num_cpus=1, include_dashboard=False, _temp_dir=folder)
    report(theirs=[look() for _ in range(3)])
    mark("theirs")
    await_true(lambda: is_said("answers again"))
    report(back=look(), is_theirs=ray.is_initialized(), names=names())
    report(errors=[line for line in logged("ERROR") if "other code" in line])
    ray.shutdown()
    await_true(lambda: "reconnected" in names())
report(ours=[*look(), task()])
"""
)
_SAME = (
    _RIDES
    + """
sys.stdin.readline()
ray.init(sys.argv[1], ignore_reinit_error=True)
await_true(lambda: state() == "connected")
await_true(lambda: "reconnected" in names())
report(ours=[*look(), task()], errors=[line for line in logged("ERROR") if "other code" in line])
"""
)


@pytest.fixture
def head() -> Iterator[RayHead]:
    with RayHead() as head:
        yield head


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "mode",
    [
        pytest.param(mode, marks=pytest.mark.soak) if mode == "native" else mode
        for mode in MOSTLY_NATIVE
    ],
)
def test_a_private_cluster_is_an_error_and_ours_is_taken_once_it_is_shut(
    head: RayHead, mode: str
) -> None:
    with start(_STRANGER, address_of(head, mode), env=head.env()) as service:
        service.wait_for_mark("up", 120)
        head.shut()
        service.wait_for_mark("theirs", 120)
        head.start()
        told = service.finish(180).ok().fields
    assert told["theirs"] == [["reconnecting", False, False, 1]] * 3
    assert told["back"] == ["reconnecting", False, False, 1] and told["is_theirs"]
    assert "reconnected" not in told["names"]
    assert len(told["errors"]) == 2, "one when it was found, one when ours was back"
    assert all("ray.shutdown()" in line for line in told["errors"])
    assert told["ours"] == ["connected", True, True, 2, 42]


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", ["native", "client"])
def test_the_same_address_is_the_recovery_whoever_connects(head: RayHead, mode: str) -> None:
    with start(_SAME, address_of(head, mode), env=head.env()) as service:
        service.wait_for_mark("up", 120)
        head.shut()
        service.wait_for_mark("away", 120)
        head.start()
        service.tell("it is back")
        told = service.finish(180).ok().fields
    assert told["errors"] == [] and told["ours"] == ["connected", True, True, 2, 42]
