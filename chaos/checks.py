"""What our side of a scenario has to show."""

from __future__ import annotations

from dataclasses import dataclass

from chaos.outcome import Outcome

# The defaults: interval 5 s, 3 misses, probe timeout 2 s.
_REFUSED_S = 5 + 1
_SILENT_S = 3 * 5 + 2
# Of a poll of the services, and of a busy machine.
_SLACK_S = 0.5
# From the new head's answer to the first task.
_BACK_S = {"native": 6.0, "client": 8.0}

_REPLACED = {"gcs-killed", "head-stopped", "twice"}
_HELD = {"gcs-frozen", "silence-25"}
# Several machines. What is at work again when the network, the names or the GCS are back:
_OVERCOME = {
    *("partition-10", "partition-25", "partition-to", "partition-from", "weak"),
    *("names", "redis-5", "redis-20"),
}
# and what takes a new connection.
_MOVED = {"partition-90", "names-head", "head-moves", "redis-60"}


@dataclass(frozen=True)
class Verdict:
    """One condition, and whether it holds."""

    text: str
    passed: bool


def check(key: str, outcomes: list[Outcome]) -> list[Verdict]:
    """What has to be true of our services in that scenario."""
    verdicts = []
    for ours in (outcome for outcome in outcomes if outcome.who == "ours"):
        name = " ".join(x for x in (ours.mode, ours.blocked, ours.release) if x)
        verdicts += [Verdict(f"{name}: {v.text}", v.passed) for v in _of_one(key, ours)]
    return verdicts


def _of_one(key: str, ours: Outcome) -> list[Verdict]:
    if key in _REPLACED or key.startswith("restart-"):
        return _replaced(key, ours)
    if key in _HELD:
        return _held(ours)
    if key in _OVERCOME:
        return [_alive(ours), _at_work(ours), *_nothing_lost(ours)]
    if key == "redis-60" and ours.mode == "client":
        # Ray Client's proxy ends itself a minute after its GCS: whether there is one to come back
        # to is a matter of chance.
        return [_alive(ours)]
    if key in _MOVED:
        return [_alive(ours), _at_work(ours), *_state_kept(key, ours)]
    if key == "silence-90":
        return [_alive(ours), _noticed(ours, _SILENT_S), _back(ours)]
    if key.startswith("blocked"):
        return _blocked(ours)
    if key == "asker":
        return [_no_zero(ours)]
    if key.startswith(("reader", "asker-", "exporter")):
        return [
            _alive(ours),
            Verdict(f"connected again ({ours.events})", "reconnected" in ours.events),
        ]
    if key.startswith("exit"):
        return [
            Verdict(f"ends cleanly (rc {ours.rc}, {ours.left_s} s)", ours.rc not in (None, -6, -11))
        ]
    if key == "fork":
        return [Verdict("the child ends with its own code", (ours.child or {}).get("rc") == 7)]
    return []


def _replaced(key: str, ours: Outcome) -> list[Verdict]:
    verdicts = [_alive(ours), _back(ours)]
    # A Ray Client does not see its GCS: only that its session's server cannot.
    if not (key == "gcs-killed" and ours.mode == "client"):
        verdicts.append(_noticed(ours, _REFUSED_S))
    return verdicts


def _held(ours: Outcome) -> list[Verdict]:
    return [
        Verdict(
            f"one unhealthy, one recovered ({ours.events})",
            ours.events == ["unhealthy", "recovered"],
        ),
        _noticed(ours, _SILENT_S),
        Verdict(
            f"old handle and ref work ({ours.kept})", all(ours.kept.values()) and bool(ours.kept)
        ),
    ]


def _at_work(ours: Outcome) -> Verdict:
    took = ours.task_s
    return Verdict(f"a task runs once all is back ({took} s)", took is not None)


def _nothing_lost(ours: Outcome) -> list[Verdict]:
    return [
        Verdict(f"the connection is kept ({ours.events})", "lost" not in ours.events),
        Verdict(
            f"handle, ref and detached actor work ({ours.kept})",
            len(ours.kept) == 3 and all(ours.kept.values()),
        ),
    ]


def _state_kept(key: str, ours: Outcome) -> list[Verdict]:
    if not key.startswith("redis"):
        return []
    kept = ours.kept.get("detached actor", False)
    return [Verdict(f"the detached actor has its state ({ours.kept})", kept)]


def _blocked(ours: Outcome) -> list[Verdict]:
    verdicts = [_no_zero(ours)]
    if ours.release == "always" or ours.mode == "client":
        words = ours.call_ended or "nothing"
        verdicts.append(Verdict(f"the call ends with an error ({words})", "Error" in words))
    return verdicts


def _no_zero(ours: Outcome) -> Verdict:
    text = f"no exit code 0 of a process that ended (rc {ours.rc})"
    return Verdict(text, ours.survived or ours.rc != 0)


def _alive(ours: Outcome) -> Verdict:
    return Verdict("the process lives on", ours.survived)


def _noticed(ours: Outcome, limit_s: float) -> Verdict:
    took = ours.noticed_s
    return Verdict(
        f"noticed within {limit_s} s ({took} s)", took is not None and took <= limit_s + _SLACK_S
    )


def _back(ours: Outcome) -> Verdict:
    limit = _BACK_S[ours.mode]
    took = ours.task_s if ours.task_after_start_s is None else ours.task_after_start_s
    return Verdict(
        f"a task runs within {limit:g} s of the head ({took} s; {ours.task_s} s after its port)",
        took is not None and took <= limit,
    )
