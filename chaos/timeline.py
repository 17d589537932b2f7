"""The timeline of a head's restart, with us and without: drawn from what ``make chaos`` saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from chaos import store

_PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "restart.svg"
_SCENARIO = "restart-20"
_MODES = {"native": "native driver", "client": "Ray Client"}
_WHO = {"bare": "bare Ray", "helper": "usual helper", "ours": "seedcore-ray"}

_WIDTH, _LEFT, _RIGHT, _TOP = 880, 124, 14, 50
_BAR, _STEP, _GROUP = 26, 32, 38
_BEFORE_S, _AFTER_S, _TICK_S = 8, 28, 20
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.frame { fill: #ffffff; stroke: #d0d7de } .grid { stroke: #d0d7de } .edge { stroke: #8c959f }
.strong { font-weight: bold } .faint { fill: #656d76 }
.works { fill: #aceebb } .without { fill: #fae17d } .ended { fill: #ffcecb }
.head { fill: #d0d7de }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .frame { fill: #0d1117; stroke: #30363d } .grid { stroke: #30363d }
.edge { stroke: #8b949e } .faint { fill: #8b949e }
.works { fill: #1a5c2e } .without { fill: #6b5208 } .ended { fill: #8e1519 } .head { fill: #3d444d }
}
"""


@dataclass(frozen=True)
class Stretch:
    """A time in which nothing changes, in seconds since the loss."""

    begin_s: float
    end_s: float
    style: str
    text: str


def documents() -> dict[Path, str]:
    """What is written into which file, from the last run on the newest Ray."""
    results = store.read()
    newest = max(results, key=lambda ray: [int(part) for part in ray.split(".")])
    run = results[newest]["run"]
    played = results[newest]["scenarios"][_SCENARIO]
    caption = (
        f"Seconds since the head died. Ray {run['ray']}, Python {run['python']}, "
        f"{run['cores']} cores, load {played['load']:.0f}, {run['date']}; "
        "one recorded run of make chaos"
    )
    return {_PICTURE: svg(played["outcomes"], caption)}


def svg(outcomes: Sequence[dict[str, Any]], caption: str) -> str:
    """The head, and below it what each service could do."""
    up_s = _head_up(outcomes)
    ends = [one[name] for one in outcomes for name in ("ended_s", "task_after_loss_s") if one[name]]
    end_s = max(ends) + _AFTER_S
    height = _TOP + _STEP + len(_MODES) * (_GROUP + len(_WHO) * _STEP) + 58
    words = "What a service can do while its Ray head restarts, with seedcore-ray and without"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{words}</title><desc>{escape(' '.join(_told(outcomes, end_s)))}</desc>",
        f"<style>{_STYLE}</style>",
        f'<rect class="frame" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="6"/>',
        _text(18, 30, words, "strong"),
        *_axis(end_s, height),
    ]
    away = Stretch(0, up_s, "head", "away")
    back = Stretch(up_s, end_s, "works", "a new head")
    y = _TOP
    parts += _lane(y, "the head", [Stretch(-_BEFORE_S, 0, "works", ""), away, back], end_s)
    y += _STEP
    for mode, title in _MODES.items():
        parts.append(_text(18, y + 26, title, "faint"))
        y += _GROUP
        for who, name in _WHO.items():
            stretches = list(_stretches(_one(outcomes, who, mode), end_s))
            parts += _lane(y, name, stretches, end_s)
            y += _STEP
    parts += [_text(18, height - 16, caption, "faint"), "</svg>"]
    return "\n".join(parts) + "\n"


def _one(outcomes: Sequence[dict[str, Any]], who: str, mode: str) -> dict[str, Any]:
    return next(one for one in outcomes if (one["who"], one["mode"]) == (who, mode))


def _head_up(outcomes: Sequence[dict[str, Any]]) -> float:
    """When all of the new head was up: the end of ``ray start``."""
    ours = _one(outcomes, "ours", "native")
    return float(ours["task_after_loss_s"] - ours["task_after_start_s"])


def _stretches(one: dict[str, Any], end_s: float) -> Iterator[Stretch]:
    yield Stretch(-_BEFORE_S, 0, "works", "")
    if one["ended_s"] is not None:
        yield Stretch(0, one["ended_s"], "without", "lives, no task runs, even on the new head")
        yield Stretch(one["ended_s"], end_s, "ended", "Ray ends the process")
    elif one["task_after_loss_s"] is None:
        yield Stretch(0, end_s, "without", "lives, no task runs any more")
    else:
        noticed = f"lives, knows of it after {one['noticed_s']:.1f} s"
        yield Stretch(0, one["task_after_loss_s"], "without", noticed)
        again = f"tasks run, {max(one['task_after_start_s'], 0):.1f} s after the head was up"
        yield Stretch(one["task_after_loss_s"], end_s, "works", again)


def _told(outcomes: Sequence[dict[str, Any]], end_s: float) -> Iterator[str]:
    """The picture in words."""
    for mode, title in _MODES.items():
        for who, name in _WHO.items():
            _, *after = _stretches(_one(outcomes, who, mode), end_s)
            told = "; ".join(f"from {one.begin_s:.0f} s {one.text}" for one in after)
            yield f"{name}, {title}: {told}."


def _x(seconds: float, end_s: float) -> float:
    share = (seconds + _BEFORE_S) / (end_s + _BEFORE_S)
    return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)


def _lane(y: int, name: str, stretches: Sequence[Stretch], end_s: float) -> Iterator[str]:
    yield _text(18, y + 18, name, "strong" if name == _WHO["ours"] else "")
    for one in stretches:
        x, width = _x(one.begin_s, end_s), _x(one.end_s, end_s) - _x(one.begin_s, end_s)
        yield (
            f'<rect class="{one.style}" x="{x}" y="{y}" width="{width - 2:.1f}" height="{_BAR}"'
            ' rx="3"/>'
        )
        yield _text(x + 8, y + 18, one.text)


def _axis(end_s: float, height: int) -> Iterator[str]:
    bottom = height - 56
    for seconds in range(0, int(end_s), _TICK_S):
        x = _x(seconds, end_s)
        yield f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP - 6}" y2="{bottom}"/>'
        yield _text(x - 4, bottom + 16, f"{seconds}", "faint")


def _text(x: float, y: float, text: str, style: str = "") -> str:
    shown = f' class="{style}"' if style else ""
    return f'<text x="{x:g}" y="{y:g}"{shown}>{escape(text)}</text>' if text else ""
