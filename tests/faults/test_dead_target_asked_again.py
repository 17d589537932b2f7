"""The breaker: once a connect has used up its timeout, the next calls are answered at once."""

from __future__ import annotations

from tests.support import SOON_S, closed_port
from tests.support.scenario import play

_ASK = """
address = sys.argv[1]
def ask(**options):
    return timed(ensure_ray_initialized, address, **options)
"""


def test_calls_are_turned_away_with_the_last_cause_and_no_log_line() -> None:
    told = play(
        _ASK
        + """
first = ask(connect_timeout_s=0.3)
lines = len(records)
again = [ask() for _ in range(100)]
report(first=first, again=[ok for ok, _ in again], slowest=max(s for _, s in again),
       new=[r.getMessage() for r in records[lines:] if r.levelname != "DEBUG"],
       error=error())
""",
        f"ray://127.0.0.1:{closed_port()}",
    )
    ok, seconds = told["first"]
    assert not ok and seconds >= 0.3
    assert told["again"] == [False] * 100 and told["slowest"] < SOON_S
    assert told["new"] == []
    error = told["error"]
    assert error["kind"] == "circuit_open"
    assert "connection refused" in error["message"]
    assert 0 < error["retry_after_s"] <= 5
    assert "SEEDCORE_RAY_BREAKER_RESET_S" in error["hint"]


def test_one_look_neither_opens_nor_obeys_it() -> None:
    told = play(
        _ASK
        + """
ask(connect_timeout_s=0)
after_a_look = ask(connect_timeout_s=0.3)
kinds = [error()["kind"]]
ask(connect_timeout_s=0)
kinds.append(error()["kind"])
report(waited=after_a_look[1], kinds=kinds)
""",
        f"ray://127.0.0.1:{closed_port()}",
    )
    assert told["waited"] >= 0.3, "a single look must not open the circuit"
    assert told["kinds"] == ["refused", "refused"], "a single look must be taken, open or not"


def test_another_target_is_tried() -> None:
    told = play(
        _ASK
        + """
ask(connect_timeout_s=0.3)
ensure_ray_initialized(sys.argv[2], connect_timeout_s=0.3)
other = error()["kind"]
os.environ["RAY_ADDRESS"] = address
ensure_ray_initialized()
report(other=other, same_by_environment=error()["kind"])
os.environ["RAY_ADDRESS"] = sys.argv[3]
report(changed=timed(ensure_ray_initialized, connect_timeout_s=0.3)[1])
""",
        *(f"ray://127.0.0.1:{port}" for port in (closed_port(), closed_port(), closed_port())),
    )
    assert told["other"] == "refused"
    assert told["same_by_environment"] == "circuit_open"
    assert told["changed"] >= 0.3


def test_the_last_error_is_that_of_the_last_call() -> None:
    address, other = (f"ray://127.0.0.1:{closed_port()}" for _ in range(2))
    told = play(
        _ASK
        + """
def last():
    return [error()["kind"], error()["address"]]
ask(connect_timeout_s=0.3)
ask()
seen = [last()]
ensure_ray_initialized(sys.argv[2], connect_timeout_s=0)
seen.append(last())
ask()
seen.append(last())
shutdown_ray()
report(no_error=error())
ask()
report(seen=[*seen, last()])
""",
        *(address, other),
    )
    turned_away = ["circuit_open", address]
    assert told["seen"] == [turned_away, ["refused", other], turned_away, turned_away]
    assert told["no_error"] is None


def test_when_its_time_is_up_one_of_64_threads_looks() -> None:
    told = play(
        _ASK
        + """
ask(connect_timeout_s=0.3)
ask()
time.sleep(error()["retry_after_s"] + 0.01)
def looks():
    return len([line for line in logged("DEBUG", "refused") if line.startswith("tcp")])
before = looks()
gate = threading.Barrier(64)
answers = []
def caller():
    gate.wait()
    answers.append(ask())
threads = [threading.Thread(target=caller) for _ in range(64)]
for thread in threads: thread.start()
for thread in threads: thread.join()
ask()
report(answers=[ok for ok, _ in answers], looks=looks() - before, error=error())
""",
        f"ray://127.0.0.1:{closed_port()}",
        SEEDCORE_RAY_BREAKER_RESET_S="3",
    )
    assert told["answers"] == [False] * 64
    assert told["looks"] == 1
    assert told["error"]["kind"] == "circuit_open"


def test_zero_switches_it_off() -> None:
    told = play(
        _ASK
        + """
ask(connect_timeout_s=0.3)
report(again=ask(connect_timeout_s=0.3), kind=error()["kind"])
""",
        f"ray://127.0.0.1:{closed_port()}",
        SEEDCORE_RAY_BREAKER_RESET_S="0",
    )
    assert told["again"][1] >= 0.3
    assert told["kind"] == "refused"
