"""What became of one service, in numbers: all seconds are counted from a moment of its scenario."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

from chaos.services import Running

Said = list[dict[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """What became of one service."""

    who: str
    mode: str
    blocked: str = ""
    release: str = "auto"
    leaves: str = "return"
    events: list[str] = field(default_factory=list)
    """What it was told of its connection, in order."""
    noticed_s: float | None = None
    """From the loss until the service could know."""
    lost_s: float | None = None
    """From the loss until the connection was given up."""
    connected_s: float | None = None
    """From the new head's port being open until the service was connected to it."""
    task_s: float | None = None
    """From the new head's port being open until a task had run."""
    task_after_start_s: float | None = None
    """The same from the end of ``ray start``, when all of the head is up; may be negative."""
    task_after_loss_s: float | None = None
    """From the loss until a task had run on the new head."""
    ended_s: float | None = None
    """From the loss until the process ended by itself."""
    left_s: float | None = None
    """From the order to end until the process was gone."""
    leaving_in: str | None = None
    """The state of the connection at that order."""
    rc: int | None = None
    """Exit code; None for a process that had to be killed."""
    has_traceback: bool = False
    failures: list[str] = field(default_factory=list)
    """What its calls raised, each once."""
    kept: dict[str, bool] = field(default_factory=dict)
    """Whether what was made before still works."""
    call_ended: str | None = None
    """What the call that was blocked in Ray raised."""
    child: dict[str, Any] | None = None
    """How a forked child fared."""

    @property
    def survived(self) -> bool:
        """Whether the process lived until it was told to end."""
        return self.ended_s is None


def outcome(running: Running, moments: dict[str, float], wait_s: float) -> Outcome:
    """Let the process end, and sum up what it said."""
    ended = running.end(wait_s)
    said, service = running.said, running.service
    lost = moments.get("lost", 0.0)
    back = max((at for name, at in moments.items() if name == f"back {service.mode}"), default=None)
    leaving = _first(said, "leaving")
    left = leaving is not None and leaving >= lost
    if service.who == "ours" and not left:
        print(f"ours, {service.mode}, ended by itself:\n{ended.stderr[-3000:]}", file=sys.stderr)

    def since(moment: float | None, at: float | None) -> float | None:
        return None if moment is None or at is None else round(at - moment, 3)

    after = [word for word in said if word["at"] >= lost]
    again = [word for word in after if back is not None and word["at"] >= back - 1]
    return Outcome(
        who=service.who,
        mode=service.mode,
        blocked=service.blocked,
        release=service.release,
        leaves=service.leaves,
        events=[word["what"] for word in after if "generation" in word],
        noticed_s=since(lost, _first(after, "unhealthy", "lost", "not initialized")),
        lost_s=since(lost, _first(after, "lost", "not initialized")),
        connected_s=since(back, _first(again, "reconnected", "recovered")),
        task_s=since(back, _first(again, "task")),
        task_after_start_s=since(moments.get("started"), _first(again, "task")),
        task_after_loss_s=since(lost, _first(again, "task")),
        ended_s=None if left or ended.rc is None else since(lost, ended.at),
        left_s=since(leaving, ended.at) if left else None,
        leaving_in=next((w["state"] for w in said if w["what"] == "leaving"), None),
        rc=ended.rc,
        has_traceback="meant" in ended.stderr or "KeyboardInterrupt" in ended.stderr,
        failures=[w["error"] for w in after if w["what"].endswith(" failed")],
        kept=_kept(after),
        call_ended=next((w["error"] for w in after if w["what"] == "blocked call ended"), None),
        child=_child(said),
    )


def _first(said: Said, *names: str) -> float | None:
    return next((word["at"] for word in said if word["what"] in names), None)


def _kept(said: Said) -> dict[str, bool]:
    names = {word["what"] for word in said}
    return {
        what: what in names
        for what in ("old handle", "old ref", "detached actor")
        if what in names or f"{what} failed" in names
    }


def _child(said: Said) -> dict[str, Any] | None:
    words = {word["what"]: word for word in said if word["what"].startswith("child")}
    if "child ended" not in words:
        return None
    ended = words["child ended"]
    return {"rc": ended["rc"], "seconds": round(ended["seconds"], 3)}
