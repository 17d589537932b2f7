"""Metrics that say what did not happen, or do not say what did."""

from __future__ import annotations

import time

from seedcore_ray.testing import RayHead
from tests.metrics.scrape import counted
from tests.support import closed_port
from tests.support.scenario import play, start

_ATTEMPTS = "seedcore_ray_connect_attempts_total"
_STATE = "seedcore_ray_connection_state"
_STAND_IN = "seedcore_ray_stand_in"
_BREAKER = "seedcore_ray_breaker_state"
_REJECTIONS = "seedcore_ray_rejections_total"
_LOSSES = "seedcore_ray_connection_losses_total"
_RECONNECTS = "seedcore_ray_reconnects_total"
_TEXT = "from seedcore_ray import metrics_text\n"


def _dead() -> str:
    return f"ray://127.0.0.1:{closed_port()}"


def test_a_connection_made_used_and_made_again(ray_head: RayHead) -> None:
    began = time.time()
    told = play(
        _TEXT
        + """
import ray
idle = metrics_text()
ensure_ray_initialized()
made = metrics_text()
is_ray_available(), ensure_ray_initialized(), ensure_ray_initialized()
used = metrics_text()
for _ in range(1000):
    ensure_ray_initialized()
report(idle=idle, made=made, used=used, untouched=metrics_text() == used)
ray.shutdown()
gone = metrics_text()
ensure_ray_initialized()
report(gone=gone, again=metrics_text())
""",
        RAY_ADDRESS=ray_head.gcs_address,
        SEEDCORE_RAY_HEALTH_INTERVAL_S="0",  # its looks are counted, too
    )
    probes = "seedcore_ray_probe_duration_seconds_count answered"
    assert set(counted(told["idle"])) == {
        "seedcore_ray_build_info 0.1.0",
        f"{_STATE} idle",
        f"{_STAND_IN} none",
        f"{_BREAKER} closed",
    }
    made = counted(told["made"])
    assert made[f"{_ATTEMPTS} connected none"] == 1
    assert made["seedcore_ray_connect_duration_seconds_count connected"] == 1
    assert made[probes] == 1
    assert made["seedcore_ray_generation"] == 1
    last_success = made["seedcore_ray_last_success_timestamp_seconds"]
    assert began < last_success < time.time()
    assert [name for name in made if name.startswith(_STATE)] == [f"{_STATE} connected"]

    used = counted(told["used"])
    assert used[probes] == 2
    assert used["seedcore_ray_last_success_timestamp_seconds"] > last_success
    assert told["untouched"], "a call on a live connection counts nothing"

    gone, again = counted(told["gone"]), counted(told["again"])
    assert gone[f"{_STATE} idle"] == 1
    assert again["seedcore_ray_generation"] == 2
    assert _LOSSES not in again and _RECONNECTS not in again, "nobody's loss, but a wish"


def test_a_head_that_is_replaced_is_a_loss_and_then_a_reconnect(own_head: RayHead) -> None:
    env = {"RAY_ADDRESS": own_head.gcs_address, "SEEDCORE_RAY_HEALTH_INTERVAL_S": "0.5"}
    source = (
        _TEXT
        + """
ensure_ray_initialized()
mark("connected")
give_up = time.monotonic() + 60
while held()["generation"] < 2 and time.monotonic() < give_up:
    time.sleep(0.05)
    ensure_ray_initialized()
report(text=metrics_text())
"""
    )
    with start(source, env=env) as program:
        program.wait_for_mark("connected")
        own_head.restart()
        text = program.finish(70).ok().fields["text"]
    back = counted(text)
    assert back[_LOSSES] == 1 and back[_RECONNECTS] == 1
    assert back[f"{_ATTEMPTS} connected none"] == back["seedcore_ray_generation"] == 2
    assert back[f"{_STATE} connected"] == 1
    assert back["seedcore_ray_probe_duration_seconds_count failed"] > 0


def test_a_connect_that_fails_and_the_calls_that_are_turned_away() -> None:
    told = play(
        _TEXT
        + """
import asyncio
address = sys.argv[1]
ensure_ray_initialized(address, connect_timeout_s=0.3)
failed = metrics_text()
for _ in range(100):
    ensure_ray_initialized(address)
asyncio.run(seedcore_ray.ensure_ray_initialized_async(address))
rejected = metrics_text()
time.sleep(error()["retry_after_s"] + 0.01)
report(failed=failed, rejected=rejected, waited=metrics_text())
""",
        _dead(),
        SEEDCORE_RAY_BREAKER_RESET_S="3",
    )
    failed, rejected, waited = (counted(told[when]) for when in ("failed", "rejected", "waited"))
    attempt = f"{_ATTEMPTS} failed refused"
    assert failed[attempt] == 1 and failed[f"{_STATE} failed"] == 1
    assert failed["seedcore_ray_probe_duration_seconds_count failed"] >= 1
    assert failed["seedcore_ray_connect_duration_seconds_sum failed"] >= 0.3
    assert failed[f"{_BREAKER} open"] == 1 and f"{_REJECTIONS} circuit_open" not in failed
    assert rejected[attempt] == 1 and rejected[f"{_REJECTIONS} circuit_open"] == 101
    assert waited[f"{_BREAKER} half_open"] == 1 and f"{_BREAKER} open" not in waited


def test_a_call_that_cannot_be_tried_is_no_attempt() -> None:
    told = play(
        _TEXT
        + """
ensure_ray_initialized("http://127.0.0.1:8265")
invalid = metrics_text()
sys.modules["ray"] = None
ensure_ray_initialized("ray://127.0.0.1")
report(invalid=invalid, missing=metrics_text())
"""
    )
    assert counted(told["invalid"])[f"{_REJECTIONS} invalid_address"] == 1
    missing = counted(told["missing"])
    assert missing[f"{_REJECTIONS} ray_missing"] == 1
    assert not [name for name in missing if name.startswith(_ATTEMPTS)]


def test_a_forked_child_begins_at_zero() -> None:
    told = play(
        _TEXT
        + """
ensure_ray_initialized(sys.argv[1], connect_timeout_s=0.3)
ensure_ray_initialized(sys.argv[1])
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, metrics_text().encode())
    os._exit(0)
os.close(write)
with open(read) as child:
    report(child=child.read(), parent=metrics_text())
os.wait()
""",
        _dead(),
    )
    assert set(counted(told["child"])) == {
        "seedcore_ray_build_info 0.1.0",
        f"{_STATE} idle",
        f"{_STAND_IN} none",
        f"{_BREAKER} closed",
    }
    assert counted(told["parent"])[f"{_REJECTIONS} circuit_open"] == 1


def test_no_label_holds_what_a_caller_passed() -> None:
    told = play(
        _TEXT
        + """
ensure_ray_initialized(sys.argv[1], "a-namespace", connect_timeout_s=0)
ensure_ray_initialized("ray://user:hidden@[")
report(text=metrics_text())
""",
        _dead(),
    )
    for passed in ("127.0.0.1", "a-namespace", "user", "hidden"):
        assert passed not in told["text"]
