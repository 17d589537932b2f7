"""The table's times as a picture: an SVG, by hand, that reads in light and in dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from benches.figures import Figure, Row

_LEFT, _RIGHT, _TOP, _STEP, _WIDTH = 440, 60, 64, 24, 1040
_SERIES = (
    ("ours", "ours"),
    ("empty", "empty call of our extension"),
    ("ray", "bare Ray"),
    ("reference", "plain Python helper"),
)
_DECADES = {1e-9: "1 ns", 1e-6: "1 us", 1e-3: "1 ms", 1.0: "1 s", 60.0: "1 min"}
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f }
.grid { stroke: #d0d7de } .range { stroke: #afb8c1; stroke-width: 2 }
.ours { fill: #0969da } .empty { fill: #8c959f } .ray { fill: #cf222e } .reference { fill: #bf8700 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .grid { stroke: #30363d } .range { stroke: #6e7681 }
.ours { fill: #58a6ff } .empty { fill: #8b949e } .ray { fill: #ff7b72 } .reference { fill: #e3b341 }
}
"""


def svg(rows: Sequence[Row], caption: str) -> str:
    """All rows that are times and were measured, one line each, on a logarithmic axis."""
    shown = [row for row in rows if row.ours is not None and _on_axis(row.ours)]
    height = _TOP + _STEP * len(shown) + 44
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(caption)}</title><style>{_STYLE}</style>",
        *_legend(),
        *_axis(height),
    ]
    for index, row in enumerate(shown):
        parts += _line(row, _TOP + _STEP * index + _STEP // 2)
    parts += [f'<text x="8" y="{height - 6}">{escape(caption)}</text>', "</svg>"]
    return "\n".join(parts) + "\n"


def caption(run: dict[str, Any]) -> str:
    """What a run was measured on."""
    return (
        f"seedcore-ray {run['seedcore_ray']}, Ray {run['ray']}, Python {run['python']}, "
        f"{run['cores']} cores, {run['date'][:10]}"
    )


def _on_axis(figure: Figure | None) -> bool:
    # A head that comes late may be answered by us before the poller sees it: no logarithm there.
    return figure is not None and figure.unit == "s" and figure.value > 0


def _x(seconds: float) -> float:
    low, high = math.log10(10e-9), math.log10(60.0)
    share = (math.log10(max(seconds, 10e-9)) - low) / (high - low)
    return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)


def _legend() -> list[str]:
    parts, x = [], 8
    for name, text in _SERIES:
        parts.append(f'<circle class="{name}" cx="{x + 5}" cy="18" r="5"/>')
        parts.append(f'<text x="{x + 16}" y="22">{text}</text>')
        x += 48 + 7 * len(text)
    return parts


def _axis(height: int) -> list[str]:
    parts = []
    for seconds, text in _DECADES.items():
        if seconds < 10e-9:
            continue
        x = _x(seconds)
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP - 6}" y2="{height - 36}"/>')
        parts.append(f'<text x="{x}" y="{_TOP - 12}" text-anchor="middle">{text}</text>')
    return parts


def _line(row: Row, y: int) -> list[str]:
    figures = {name: figure for name, figure in row.figures.items() if _on_axis(figure)}
    spread = [_x(figure.value) for figure in figures.values()]
    parts = [
        f'<text x="{_LEFT - 16}" y="{y + 4}" text-anchor="end">{escape(row.what)}</text>',
        f'<line class="range" x1="{min(spread)}" x2="{max(spread)}" y1="{y}" y2="{y}"/>',
    ]
    # Ours is drawn last, on top.
    for name, figure in reversed(figures.items()):
        told = f"{name}: {figure}"
        x = _x(figure.value)
        parts.append(f'<g class="{name}"><title>{escape(told)}</title>{_dot(x, y, figure)}</g>')
    return parts


def _dot(x: float, y: int, figure: Figure) -> str:
    if figure.capped:  # an arrow: it would have gone on
        return f'<path d="M{x - 5} {y - 6} L{x + 8} {y} L{x - 5} {y + 6} Z"/>'
    return f'<circle cx="{x}" cy="{y}" r="5"/>'
