"""The cluster that was asked for is away, and another one stands by."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seedcore_ray.testing import RayHead
from tests.cli.commands import cli, cli_json
from tests.support import Program, closed_port, wait_until
from tests.support.modes import MOSTLY_NATIVE
from tests.support.monitored import address_of, start
from tests.support.scenario import play

_NAME = "SEEDCORE_RAY_STANDBY_ADDRESSES"

# What a task says of where it runs, and what the process says of where it is connected.
_WHERE = """
def place():
    return ray.get(ray.remote(lambda: os.environ["WHERE"]).options(num_cpus=0).remote())
def live():
    return [held()["address"], held()["stand_in"], held()["generation"]]
def on_standby():
    return 'seedcore_ray_stand_in{seedcore_ray_stand_in="standby"} 1' in seedcore_ray.metrics_text()
events = []
@seedcore_ray.on_event
def keep(event):
    events.append([event.name, event.address, event.cause.address if event.cause else None])
"""


def _dead(mode: str) -> str:
    """Nobody listens there."""
    address = f"127.0.0.1:{closed_port()}"
    return address if mode == "native" else f"ray://{address}"


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_connecting_while_the_cluster_is_away(ray_head: RayHead, mode: str) -> None:
    dead, standby = _dead(mode), address_of(ray_head, mode)
    told = play(
        _WHERE
        + """
import ray
inits = count_inits()
report(ok=ensure_ray_initialized(sys.argv[1]), live=live(), source=held()["address_source"],
       info=get_connection_info(), task=ray.get(ray.remote(lambda: 42).remote()),
       available=is_ray_available(), metric=on_standby(), said=logged("WARNING"))
# It stays, whoever asks for the address that it stands in for.
connect(sys.argv[1])
report(again=[ensure_ray_initialized(sys.argv[1]), ensure_ray_initialized()], inits=len(inits),
       warnings=logged("WARNING"), errors=logged("ERROR"))
while not events: time.sleep(0.01)
report(events=events)
""",
        dead,
        RAY_ADDRESS=dead,
        SEEDCORE_RAY_STANDBY_ADDRESSES=f"{_dead(mode)},auto,{standby}",
    )
    assert told["ok"] and told["task"] == 42 and told["available"] and told["metric"]
    assert told["live"] == [standby, "standby", 1] and told["source"] == "argument"
    assert told["info"]["address"] == standby
    (line,) = told["said"]
    assert f"{dead} cannot be used" in line and f"the standby {standby}" in line
    assert told["again"] == [True, True] and told["inits"] == 1
    assert told["warnings"] == told["said"]
    (bad,) = told["errors"]
    assert bad.startswith(f"{_NAME}: `auto`")
    assert told["events"] == [["connected", standby, dead]]


def test_a_pool_stays_with_its_own_cluster(ray_head: RayHead) -> None:
    told = play(
        """
        ok = ensure_ray_initialized(sys.argv[1])
        pool = seedcore_ray.ConnectionPool(sys.argv[1])
        pool.open()
        try:
            pool.wait(timeout=1)
        except seedcore_ray.RayConnectionError as error:
            report(ok=ok, live=held()["address"], said=str(error), stats=pool.get_stats())
        pool.close()
        """,
        dead := _dead("client"),
        SEEDCORE_RAY_STANDBY_ADDRESSES=ray_head.gcs_address,
    )
    assert told["ok"] and told["live"] == ray_head.gcs_address
    assert f"{dead}: connection refused" in told["said"], told


def test_the_commands_name_the_standbys_and_their_state(ray_head: RayHead) -> None:
    dead, other, standby = _dead("native"), _dead("client"), ray_head.client_address
    env = {"RAY_ADDRESS": dead, _NAME: f"{other},{standby}"}
    document = cli_json("doctor", env=env)
    assert document["exit_code"] == 0 and standby in document["diagnosis"]["sentence"]
    told = [(one["address"], one["is_standby"], one["verdict"]) for one in document["candidates"]]
    assert told == [(dead, False, "failed"), (other, True, "failed"), (standby, True, "ok")]
    assert f"\nstandby {standby}\n" in cli("doctor", env=env).stdout
    for command in ("health", "wait"):
        seen = cli_json(command, "--timeout", "4", env=env)
        assert (seen["address"], seen["is_standby"]) == (standby, True)
        assert seen["instead_of"]["kind"] == "refused"
    assert f"the standby {standby} answers in place of" in cli("health", env=env).stdout
    bad = cli("config", env={_NAME: f"auto,{standby}"})
    assert bad.rc == 1 and "cannot be a standby" in bad.stdout and standby in bad.stdout


# Connects, and goes on to what stands by.
_MOVES = (
    _WHERE
    + """
connected(sys.argv[1])
report(first=live())
await_true(lambda: "reconnected" in names())
report(second=live(), task=task(), metric=on_standby(), asked=ensure_ray_initialized(sys.argv[1]),
       warnings=logged("WARNING", "cannot be used"), events=events)
"""
)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_a_cluster_that_goes_is_replaced_by_the_standby(
    own_head: RayHead, ray_head: RayHead, mode: str
) -> None:
    first, second = address_of(own_head, mode), address_of(ray_head, mode)
    with start(_MOVES, first, env={_NAME: second}) as program:
        program.wait_for_mark("up", 90)
        own_head.shut()
        told = program.finish(90).ok().fields
    assert told["first"] == [first, None, 1]
    assert told["second"] == [second, "standby", 2] and told["metric"]
    assert told["task"] == 42 and told["asked"] is True
    (line,) = told["warnings"]
    assert first in line and second in line
    assert told["events"][-1] == ["reconnected", second, first]
    assert told["events"][-2][:2] == ["lost", first]


# A service that asks for the connection before each piece of work, on four threads.
_SERVES = (
    _WHERE
    + """
import collections
served, failed, odd = [collections.Counter() for _ in range(4)], collections.Counter(), []
def serve(mine):
    while True:
        try:
            connect()
            mine[place()] += 1
        except ConnectionError as error:
            failed[words(error)] += 1
        except ray.exceptions.RaySystemError as error:  # shut down since connect() has returned
            failed[words(error)] += 1
        except Exception as error:
            odd.append(f"{state()}: {type(error).__name__}: {error}"[:300])
        time.sleep(0.1)
connected(os.environ["RAY_ADDRESS"])
for mine in served:
    threading.Thread(target=serve, args=(mine,), daemon=True).start()
while True:
    report(served={place: min(mine[place] for mine in served) for place in ("blue", "green")},
           failed=dict(failed), odd=odd[:9], live=live(), events=[event[:2] for event in events])
    time.sleep(0.1)
"""
)


@pytest.fixture(scope="module")
def blue_and_green() -> Iterator[tuple[RayHead, RayHead]]:
    with RayHead(env={"WHERE": "blue"}) as blue, RayHead(env={"WHERE": "green"}) as green:
        yield blue, green


@pytest.mark.soak
@pytest.mark.timeout(400)
@pytest.mark.parametrize("mode", ["native", "client"])
def test_blue_is_replaced_by_green_and_green_by_blue_under_load(
    blue_and_green: tuple[RayHead, RayHead], mode: str
) -> None:
    blue, green = blue_and_green
    env = {"RAY_ADDRESS": address_of(blue, mode), _NAME: address_of(green, mode)}
    with start(_SERVES, env=env) as program:
        program.wait_for_mark("up", 90)
        _await_served(program, "blue")
        blue.shut()
        _await_served(program, "green")
        # Nobody moves back for a cluster that is there again.
        blue.start()
        _await_served(program, "green")
        assert program.fields_so_far()["live"] == [address_of(green, mode), "standby", 2]
        # When the standby goes, the order begins again at the first.
        green.shut()
        _await_served(program, "blue")
        green.start()
        told = program.fields_so_far()
    assert told["live"] == [address_of(blue, mode), None, 3]
    names = [name for name, _ in told["events"]]
    assert names.count("lost") == names.count("reconnected") == 2
    assert told["odd"] == []
    ours, rays = {"RayConnectionError(lost)"}, {"RaySystemError"}
    if mode == "client":
        rays |= {"ConnectionError"}  # of a .remote() that was under way
    assert ours <= set(told["failed"]) <= ours | rays


def _await_served(program: Program, place: str) -> None:
    """Five more answers from there, on each of the threads."""

    def served() -> int:
        return int(program.fields_so_far().get("served", {}).get(place, 0))

    before = served()
    wait_until(lambda: served() >= before + 5, 120, f"{place} to serve", every_s=0.2)
