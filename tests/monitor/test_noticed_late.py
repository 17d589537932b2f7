"""What dies is noticed when it dies, and not at the next look."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from seedcore_ray.testing import RayHead
from seedcore_ray.testing.processes import send_signal
from tests.support import TcpRelay, wait_until
from tests.support.monitored import address_of, start

pytestmark = pytest.mark.timeout(400)

# Looks are rare while these tests run (each 20 s), and patience is as by default.
_RARELY = {"RAY_gcs_rpc_server_reconnect_timeout_s": "60", "SEEDCORE_RAY_LOSS_GRACE_S": "40"}
_LOOKS = """
def looks():
    lines = [line.split() for line in seedcore_ray.metrics_text().splitlines()
             if line.startswith("seedcore_ray_probe_duration_seconds_count")]
    return sum(int(float(line[-1])) for line in lines)
"""
_RIDE = """
handle = connected(sys.argv[1], interval_s=300, release="always")
def wait():
    never = ray.remote(lambda: None).options(resources={"nowhere": 1}).remote()
    try:
        ray.get(never)
    except BaseException as raised:
        report(ended=words(raised))
threading.Thread(target=wait, daemon=True).start()
lost = 1
for line in sys.stdin:
    await_true(lambda: names().count("reconnected") == lost)
    lost += 1
    before = looks()
    await_true(lambda: looks() > before)  # the first look keeps its connections
    report(back=[task(), state(), is_ray_available()])
    mark(line.strip())
"""
_STEP_S = 60.0


class _Rides:
    """A native service and a Ray Client that ride through everything."""

    def __init__(self, head: RayHead) -> None:
        self._modes = {
            mode: start(_LOOKS + _RIDE, address_of(head, mode), env={**head.env(), **_RARELY})
            for mode in ("native", "client")
        }
        for program in self._modes.values():
            program.wait_for_mark("up", 90)

    def fields(self, mode: str) -> dict[str, Any]:
        return self._modes[mode].fields_so_far()

    def heard(self, mode: str) -> list[dict[str, Any]]:
        heard: list[dict[str, Any]] = self.fields(mode).get("heard", [])
        return heard

    def await_heard(self, mode: str, *expected: str) -> list[str | None]:
        """Wait until these are the last events; their causes."""

        def last() -> list[str]:
            return [event["name"] for event in self.heard(mode)][-len(expected) :]

        wait_until(lambda: last() == list(expected), _STEP_S, f"{mode} hears {expected}")
        return [event["kind"] for event in self.heard(mode)[-len(expected) :]]

    def await_back(self, mode: str, step: str) -> None:
        """Wait until a task runs on a new connection."""
        self._modes[mode].tell(step)
        self._modes[mode].wait_for_mark(step, _STEP_S)
        assert self.fields(mode)["back"] == [42, "connected", True]

    def await_ended_call(self, mode: str) -> str:
        """Wait until the call that was blocked in Ray has ended; with what."""
        wait_until(lambda: "ended" in self.fields(mode), _STEP_S, "the call to end")
        ended: str = self.fields(mode)["ended"]
        return ended

    def close(self) -> None:
        for program in self._modes.values():
            program.__exit__()


@pytest.fixture(scope="module")
def head() -> Iterator[RayHead]:
    """One for all of these tests."""
    with RayHead(num_cpus=4) as head:
        yield head


@pytest.fixture(scope="module")
def rides(head: RayHead) -> Iterator[_Rides]:
    """The services; each test leaves them connected."""
    rides = _Rides(head)
    yield rides
    rides.close()


def test_the_server_process_of_a_client(head: RayHead, rides: _Rides) -> None:
    (server,) = head.client_servers()
    send_signal(server.pid, signal.SIGKILL)
    # It is unhealthy for as long as the proxy remembers the session: on a busy machine, not at all.
    rides.await_heard("client", "lost", "reconnected")
    # The call that was in flight ended with the connection.
    assert rides.await_ended_call("client")
    rides.await_back("client", "server")
    assert [event["name"] for event in rides.heard("native")] == ["connected"]


@pytest.mark.soak
@pytest.mark.matrix
def test_the_raylet_of_this_node(head: RayHead, rides: _Rides) -> None:
    head.kill("raylet")
    kinds = rides.await_heard("native", "unhealthy", "lost")
    assert kinds[0] in ("not_ready", "refused")
    # An older Ray (2.33, 2.44) knows by itself, and at once.
    assert rides.await_ended_call("native") in ("RayConnectionError(lost)", "LocalRayletDiedError")
    head.restart()
    for mode in ("native", "client"):
        rides.await_back(mode, "raylet")


def test_the_proxy_and_then_the_gcs(head: RayHead, rides: _Rides) -> None:
    head.kill("proxier")
    assert rides.await_heard("client", "unhealthy") == ["refused"]
    before = len(rides.heard("native"))
    head.kill("gcs_server")
    assert rides.await_heard("native", "unhealthy") == ["refused"]
    assert len(rides.heard("native")) == before + 1
    head.restart()
    for mode in ("native", "client"):
        rides.await_back(mode, "head")


def test_the_gcs_behind_a_client(head: RayHead, rides: _Rides) -> None:
    head.kill("gcs_server")
    assert rides.await_heard("client", "unhealthy") == ["refused"]


_IDLE = """
connected(sys.argv[1], interval_s=300)
await_true(lambda: looks() >= 2)  # the probe of the connect, and the first look
ended = threading.Event()
def work():  # Ray's own connection is not idle
    while not ended.is_set():
        task()
worker = threading.Thread(target=work)
worker.start()
mark("works")
before = looks()
sys.stdin.readline()
await_true(lambda: looks() > before)
ended.set()
worker.join()
report(looks=looks() - before, names=names(), state=state(),
       lines=logged("WARNING") + logged("ERROR"))
os._exit(0)
"""


def test_a_proxy_that_closes_idle_connections_is_nothing(ray_head: RayHead) -> None:
    with TcpRelay(("127.0.0.1", ray_head.client_port)) as relay:
        source = _LOOKS + _IDLE
        # No look is due within this test: half a grace is the longest that one waits.
        env = {**ray_head.env(), "SEEDCORE_RAY_LOSS_GRACE_S": "600"}
        with start(source, relay.client_address, env=env) as program:
            program.wait_for_mark("works")
            wait_until(lambda: relay.cut_idle(1.5), _STEP_S, "the monitor's connection to be idle")
            program.tell("it is closed")
            told = program.finish(_STEP_S).ok().fields
    assert told["names"] == ["connected"] and told["state"] == "connected"
    assert told["lines"] == [] and told["looks"] == 1


_SLOW = """
handle = connected(sys.argv[1], interval_s=float(sys.argv[2]), release="always")
end = time.monotonic() + float(sys.argv[3])
while time.monotonic() < end:
    assert ray.get(handle.ping.remote(), timeout=120) == 42
    time.sleep(0.2)
report(names=names(), state=state())
os._exit(0)
"""


@pytest.mark.parametrize(
    ("delay_s", "seconds"),
    [
        pytest.param(0.6, 6.0, marks=pytest.mark.soak),
        pytest.param(0.6, 120.0, marks=pytest.mark.soak),
        pytest.param(1.5, 120.0, marks=pytest.mark.soak),
        pytest.param(4.0, 120.0, marks=pytest.mark.soak),
    ],
)
def test_a_slow_head_is_not_a_dead_one(ray_head: RayHead, delay_s: float, seconds: float) -> None:
    """``delay_s`` each way: an answer takes twice that."""
    port = ray_head.client_port
    with TcpRelay(("127.0.0.1", port), delay_s=delay_s) as relay:
        env = {
            **ray_head.env(),
            "SEEDCORE_RAY_LOSS_GRACE_S": "40",
            "SEEDCORE_RAY_CONNECT_TIMEOUT_S": "120",
            "SEEDCORE_RAY_INIT_TIMEOUT_S": "120",
        }
        interval = "1" if seconds < 60 else "5"
        address = relay.client_address
        with start(_SLOW, address, interval, str(seconds), env=env) as program:
            told = program.finish(300 + seconds).ok().fields
    assert told["state"] in ("connected", "unhealthy")
    assert "lost" not in told["names"]
