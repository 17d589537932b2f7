"""A head that freezes, thaws, is killed and comes back: what a service notices, keeps and loses."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from seedcore_ray.testing import RayHead
from tests.monitor.outage import ENDS_CALLS, LEAVERS, RIDERS, Outage
from tests.support import SOON_S

pytestmark = pytest.mark.timeout(400)
ENDS = pytest.mark.skipif(not ENDS_CALLS, reason='release="always" is "auto" on this Ray')


@pytest.fixture(scope="module")
def outage() -> Iterator[Outage]:
    """One for all of these tests: it takes a minute."""
    with RayHead(num_cpus=4) as head:
        yield Outage().play(head)


def _heard(outage: Outage, name: str) -> list[dict[str, Any]]:
    heard: list[dict[str, Any]] = outage.fields(name)["heard"]
    return heard


@pytest.mark.parametrize("mode", RIDERS)
def test_a_frozen_gcs_that_thaws_costs_nothing(outage: Outage, mode: str) -> None:
    assert outage.recovered[mode] == ["connected", "unhealthy", "recovered"]
    first = _heard(outage, mode)[:3]
    assert [event["generation"] for event in first] == [1, 1, 1]
    assert first[1]["kind"] in ("timeout", "not_ready") and first[2]["kind"] is None
    assert 0 < first[2]["after_s"] <= first[2]["at"] - first[1]["at"] + 1


@pytest.mark.parametrize("mode", RIDERS)
def test_a_restarted_head_is_connected_to_again(outage: Outage, mode: str) -> None:
    told = outage.ended[mode].ok().fields
    assert told["back"] == [42, "connected", True, True, None] and told["generation"] == 2
    assert told["old"] != 42, "its actor died with the old head"
    events = _heard(outage, mode)[3:]
    assert [event["name"] for event in events] == ["unhealthy", "lost", "reconnected"]
    assert [event["generation"] for event in events] == [1, 1, 2]
    # A look that is under way at that moment sees its connection closed: not_ready.
    assert events[0]["kind"] in ("refused", "not_ready")
    assert events[1]["kind"] in ("refused", "lost")
    assert events[1]["after_s"] > 0 and events[2]["after_s"] > 0
    times = [event["at"] for event in events]
    assert times == sorted(times)


@pytest.mark.parametrize("mode", RIDERS)
def test_each_change_is_one_log_line(outage: Outage, mode: str) -> None:
    told = outage.fields(mode)
    assert len([line for line in told["warnings"] if "unhealthy" in line]) == 2
    assert len([line for line in told["errors"] if line.startswith("lost: ")]) == 1
    for words in ("answers again", "released Ray", "reconnected to Ray"):
        assert len([line for line in told["infos"] if words in line]) == 1, words
    assert "handles and refs made before are dead" in told["infos"][-1]


@pytest.mark.parametrize("mode", RIDERS)
def test_who_asks_in_between_is_answered_at_once(outage: Outage, mode: str) -> None:
    told = outage.fields(mode)
    answers = {name: answer for name, (answer, _) in told["looks"].items()}
    assert answers["ensure"] is False and answers["connect"]["kind"] == "lost"
    assert answers["available"] is False and answers["connected"] is False
    assert answers["info"]["status"] == "not_available"
    for name, (_, seconds) in told["looks"].items():
        assert seconds < SOON_S, name
    raised, last, state = told["waiting"]
    assert raised["kind"] == last["kind"] == "lost" and state == "reconnecting"
    assert 0 < raised["retry_after_s"] <= 5 and "was lost" in raised["message"]


@ENDS
@pytest.mark.parametrize("where", ["main", "executor", "thread"])
def test_a_call_that_a_release_ends_says_what_happened(outage: Outage, where: str) -> None:
    assert outage.fields(f"always {where}")["call"] == "RayConnectionError(lost)"


@ENDS
@pytest.mark.parametrize("where", ["main", "executor"])
def test_no_process_that_a_release_ends_says_that_all_went_well(outage: Outage, where: str) -> None:
    ended = outage.ended[f"always {where}"]
    assert ended.rc == 1 and "RayConnectionError" in ended.stderr, ended.told()


@ENDS
def test_a_release_on_request_keeps_the_process(outage: Outage) -> None:
    told = outage.ended["always thread"].ok().fields
    assert told["alive"] is False, "the thread has ended with its call"
    assert any("a-worker-of-the-service" in line for line in told["warnings"])


@ENDS
def test_a_call_that_comes_during_a_release_says_what_happened(outage: Outage) -> None:
    refused = outage.fields("always thread")["refused"]
    # Before it and after it, Ray answers itself: in the end that nobody has called ray.init.
    assert "RayConnectionError(lost)" in refused
    assert set(refused) <= {"RayConnectionError(lost)", "RaySystemError"}


@ENDS
def test_shutdown_while_waiting_for_the_cluster_gives_it_up(outage: Outage) -> None:
    told = outage.fields("always thread")
    assert told["after_shutdown"] == "idle"
    # The head has come back, and the others are connected.
    assert told["at_the_end"] == "idle" and told["generation"] == 1
    assert "reconnected" not in told["names"]


def test_threads_that_are_blocked_are_named_before_ray_ends_the_process(outage: Outage) -> None:
    ended = outage.ended["auto thread"]
    assert ended.rc == 1, ended.told()
    assert "call" not in ended.fields, "nobody has touched it"
    assert any("a-worker-of-the-service" in line for line in ended.fields["warnings"])
    leaving = [line for line in ended.fields["errors"] if "a-worker-of-the-service" in line]
    assert len(leaving) == 1 and 'release="always"' in leaving[0]


def test_ray_is_left_alone_when_nothing_is_to_be_released(outage: Outage) -> None:
    ended = outage.ended["never main"]
    assert ended.rc == 1 and "call" not in ended.fields, ended.told()
    assert any('release="never"' in line for line in ended.fields["errors"])


@pytest.mark.parametrize("name", LEAVERS)
def test_leaving_while_ray_is_gone(outage: Outage, name: str) -> None:
    _, state, how = LEAVERS[name]
    ended = outage.ended[name]
    codes: dict[str, set[int]] = {
        "exit": {3},
        "raise": {1},
        # Python forgets that it was Ctrl-C when an exit hook runs code from a string.
        "SIGINT": {-signal.SIGINT, 1},
        "SIGTERM": {signal.SIGTERM},
    }
    assert ended.rc in codes[how], ended.told()
    assert ended.fields["left_in"] == state
    traces = {"raise": "RuntimeError: meant", "SIGINT": "KeyboardInterrupt"}
    assert traces.get(how, "") in ended.stderr, ended.told()
    for bad in ("Fatal Python error", "panicked", "FATAL", "Exception ignored"):
        assert bad not in ended.stderr, ended.told()


def test_a_child_forked_during_a_release_can_leave(outage: Outage) -> None:
    code, seconds = outage.fields("native, being released, sys.exit")["child"]
    assert code == 7 and seconds < SOON_S
