"""The dashboard's panels drawn without Grafana: the same queries, a plain SVG of each answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parents[2] / "deploy" / "grafana" / "seedcore-ray.json"
# Grafana's grid has 24 columns.
_COLUMN, _UNIT, _PAD, _FOOT = 50, 30, 10, 26
_COLOURS = 6
STEP_S = 1.0
"""Between two points of an answer."""
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600 }
.small { font-size: 10px } .big { font-size: 24px }
.frame { fill: none; stroke: #d0d7de } .mark { stroke: #cf222e; stroke-dasharray: 3 3 }
.line { fill: none; stroke-width: 1.5 }
.s0 { stroke: #0969da; fill: #0969da } .s1 { stroke: #bf8700; fill: #bf8700 }
.s2 { stroke: #1a7f37; fill: #1a7f37 } .s3 { stroke: #cf222e; fill: #cf222e }
.s4 { stroke: #8250df; fill: #8250df } .s5 { stroke: #57606a; fill: #57606a }
.yellow { fill: #d4a72c } .green { fill: #2da44e } .red { fill: #cf222e }
text.key { stroke: none } rect { shape-rendering: crispEdges } polyline { fill: none !important }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .frame { stroke: #30363d } }
"""


@dataclass(frozen=True)
class Series:
    """One line of a panel."""

    name: str
    points: tuple[tuple[float, float], ...]
    """Seconds since the beginning, and the value."""


@dataclass(frozen=True)
class Span:
    """What is drawn: how long, and the moments that are marked."""

    seconds: float
    marks: dict[str, float]


@dataclass(frozen=True)
class Panel:
    """One panel, with the answers to its queries."""

    spec: dict[str, Any]
    series: tuple[Series, ...]


Answer = Sequence[tuple[dict[str, str], Sequence[tuple[float, float]]]]
"""Labels and points of each series."""
Ask = Callable[[str], Answer]
"""Runs one query."""


def queries(rate_interval: str = "1m") -> Iterator[str]:
    """Every query of the dashboard, for all processes."""
    for spec in _panels():
        for target in spec["targets"]:
            yield _filled_in(target["expr"], rate_interval)


def answered(ask: Ask, rate_interval: str) -> list[Panel]:
    """The panels, with what ``ask`` says to their queries."""
    return [Panel(spec, tuple(_series(spec, ask, rate_interval))) for spec in _panels()]


def _panels() -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads(_FILE.read_text())["panels"]
    return panels


def _filled_in(query: str, rate_interval: str) -> str:
    for variable in ("$job", "$instance"):
        query = query.replace(variable, ".*")
    return query.replace("$__rate_interval", rate_interval)


def _series(spec: dict[str, Any], ask: Ask, rate_interval: str) -> Iterator[Series]:
    for target in spec["targets"]:
        for labels, points in ask(_filled_in(target["expr"], rate_interval)):
            # There is one process, so its name says nothing.
            legend = target["legendFormat"].replace("{{instance}}", "")
            for label in re.findall(r"{{(\w+)}}", legend):
                legend = legend.replace(f"{{{{{label}}}}}", labels[label])
            yield Series(legend.strip(), tuple(points))


def svg(panels: Sequence[Panel], span: Span, caption: str) -> str:
    """All panels, placed as in Grafana."""
    bottom = max(panel.spec["gridPos"]["y"] + panel.spec["gridPos"]["h"] for panel in panels)
    height = bottom * _UNIT + _FOOT
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {24 * _COLUMN} {height}" '
            f'role="img"><title>{escape(caption)}</title><style>{_STYLE}</style>',
            *(part for panel in panels for part in _Drawing(panel, span).parts()),
            f'<text x="{_PAD}" y="{height - 8}">{escape(caption)}</text></svg>\n',
        ]
    )


class _Drawing:
    """One panel on its place."""

    def __init__(self, panel: Panel, span: Span) -> None:
        place: dict[str, int] = panel.spec["gridPos"]
        self._panel, self._span = panel, span
        self._left, self._right = place["x"] * _COLUMN, (place["x"] + place["w"]) * _COLUMN
        self._top, self._bottom = place["y"] * _UNIT, (place["y"] + place["h"]) * _UNIT
        values = [value for series in panel.series for _, value in series.points]
        self._most = max(values, default=0) or 1

    def parts(self) -> Iterator[str]:
        """Frame, title, and what its type shows."""
        yield (
            f'<rect class="frame" x="{self._left + 4}" y="{self._top + 4}" rx="4" '
            f'width="{self._right - self._left - 8}" height="{self._bottom - self._top - 8}"/>'
        )
        title = escape(self._panel.spec["title"])
        yield _text(self._left + _PAD + 4, self._top + 22, title, "title")
        kind = self._panel.spec["type"]
        if kind == "stat":
            yield from self._stat()
            return
        yield from self._marks()
        yield from self._timeline() if kind == "state-timeline" else self._lines()

    def _x(self, seconds: float) -> float:
        left, right = self._left + 90, self._right - _PAD - 6
        return round(left + (right - left) * seconds / (self._span.seconds + STEP_S), 1)

    def _y(self, value: float) -> float:
        top, bottom = self._top + 36, self._bottom - 40
        return round(bottom - (bottom - top) * value / self._most, 1)

    def _stat(self) -> Iterator[str]:
        shows_name = self._panel.spec["options"]["textMode"] == "name"
        for series in self._panel.series[:1]:
            text = series.name if shows_name else f"{series.points[-1][1]:.3g} s"
            yield _text(self._left + _PAD + 4, self._top + 70, escape(text), "big")

    def _marks(self) -> Iterator[str]:
        for name, seconds in self._span.marks.items():
            x = self._x(seconds)
            yield (
                f'<line class="mark" x1="{x}" x2="{x}" y1="{self._top + 32}" '
                f'y2="{self._bottom - 40}"><title>{escape(name)}</title></line>'
            )
            yield _text(x - 8, self._bottom - 28, f"{seconds:.0f} s", "small")

    def _timeline(self) -> Iterator[str]:
        rows = max(len(self._panel.series), 1)
        step = min((self._bottom - self._top - 76) / rows, 26)
        width = round(self._x(STEP_S) - self._x(0) + 0.2, 1)
        for row, series in enumerate(self._panel.series):
            y = round(self._top + 36 + row * step, 1)
            yield _text(self._left + _PAD + 4, y + step / 2 + 4, escape(series.name), "small")
            colour = _colour(self._panel.spec["fieldConfig"], series.name)
            for seconds, _ in series.points:
                yield (
                    f'<rect class="{colour}" x="{self._x(seconds)}" y="{y}" '
                    f'width="{width}" height="{round(step - 4, 1)}"/>'
                )

    def _lines(self) -> Iterator[str]:
        yield _text(self._left + _PAD + 4, self._y(self._most) + 4, f"{self._most:.3g}", "small")
        yield _text(self._left + _PAD + 4, self._y(0) + 4, "0", "small")
        x = self._x(0)
        for index, series in enumerate(self._panel.series):
            colour = f"s{index % _COLOURS}"
            for stretch in _stretches(series.points):
                dots = " ".join(f"{self._x(at)},{self._y(value)}" for at, value in stretch)
                yield f'<polyline class="line {colour}" points="{dots}"/>'
            yield _text(x, self._bottom - 14, escape(series.name), f"small key {colour}")
            x += 18 + 6 * len(series.name)


def _colour(config: dict[str, Any], name: str) -> str:
    """As Grafana picks it: the overrides match the whole legend, which begins with the process."""
    colour: str = config["defaults"]["color"]["fixedColor"]
    for override in config["overrides"]:
        if re.search(override["matcher"]["options"].strip("/"), f"process {name}"):
            colour = override["properties"][0]["value"]["fixedColor"]
    return colour


def _stretches(points: Sequence[tuple[float, float]]) -> Iterator[list[tuple[float, float]]]:
    """The points without gaps: one is due each second. Each point begins where the last ended."""
    stretch: list[tuple[float, float]] = []
    for at, value in points:
        if stretch and at - stretch[-1][0] > STEP_S * 1.5:
            yield stretch
            stretch = []
        stretch += [(at, value), (at + STEP_S, value)]
    if stretch:
        yield stretch


def _text(x: float, y: float, words: str, style: str) -> str:
    return f'<text class="{style}" x="{x:g}" y="{y:g}">{words}</text>'
