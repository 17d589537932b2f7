"""Draws the state diagram of ``docs/states.md``, which GitHub draws by itself.

The transitions come from that document. Each has a number in the drawing and its words in a list
beneath it, so that both can be read on a phone.
"""

from __future__ import annotations

import html
import math
import re
from typing import NamedTuple

_TRANSITION = re.compile(r"^\s*(\[\*\]|\w+) --> (\w+)(?:: (.+))?$", re.M)
# Where each state is, in boxes: a state that is new here is an error, not a box on top of another.
_PLACES = {
    "idle": (0.0, 0.0),
    "connecting": (1.0, 0.0),
    "connected": (2.0, 0.0),
    "failed": (0.5, 1.0),
    "unhealthy": (2.7, 1.0),
    "reconnecting": (1.0, 2.0),
    "lost": (2.0, 2.0),
}
_COLUMN, _ROW, _WIDTH, _HEIGHT, _MARGIN = 200, 120, 130, 40, 20
_BEND = 26.0


class Transition(NamedTuple):
    """One arrow."""

    start: str
    end: str
    words: str


def transitions(diagram: str) -> list[Transition]:
    """The arrows of a mermaid ``stateDiagram-v2``, without the one to its first state."""
    found = [Transition(*match) for match in _TRANSITION.findall(diagram)]
    return [transition for transition in found if transition.start != "[*]"]


def drawing(diagram: str) -> str:
    """HTML: an SVG in the colours of the page, and the list of its numbers."""
    arrows = transitions(diagram)
    columns, rows = (max(axis) for axis in zip(*_PLACES.values(), strict=True))
    width = columns * _COLUMN + _WIDTH + 2 * _MARGIN
    height = rows * _ROW + _HEIGHT + 2 * _MARGIN
    parts = [
        f'<svg class="states" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="States of a connection and what leads from one to another; listed below">',
        '<defs><marker id="states-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto-start-reverse"><path d="M0 0L8 4L0 8z"/></marker></defs>',
    ]
    parts += [_arrow(number, arrow) for number, arrow in enumerate(arrows, 1)]
    parts += [_box(state) for state in _PLACES]
    items = "".join(
        f"<li><code>{arrow.start}</code> to <code>{arrow.end}</code>: {html.escape(arrow.words)}"
        for arrow in arrows
    )
    return "".join(parts) + f'</svg>\n<ol class="states">{items}</ol>'


def _centre(state: str) -> tuple[float, float]:
    column, row = _PLACES[state]
    return (
        _MARGIN + column * _COLUMN + _WIDTH / 2,
        _MARGIN + row * _ROW + _HEIGHT / 2,
    )


def _box(state: str) -> str:
    x, y = _centre(state)
    return (
        f'<rect x="{x - _WIDTH / 2:g}" y="{y - _HEIGHT / 2:g}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" rx="8"/><text x="{x:g}" y="{y:g}">{state}</text>'
    )


def _arrow(number: int, arrow: Transition) -> str:
    """A curve to the left of the straight line, so that the way back has a place of its own."""
    start, end = _centre(arrow.start), _centre(arrow.end)
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy)
    # What passes another box on its row goes around it.
    bend = _BEND * (3.4 if abs(dx) > 1.5 * _COLUMN and not dy else 1)
    middle = (
        (start[0] + end[0]) / 2 + dy / length * bend,
        (start[1] + end[1]) / 2 - dx / length * bend,
    )
    first, last = _edge(start, middle), _edge(end, middle)
    at = [(a + 2 * b + c) / 4 for a, b, c in zip(first, middle, last, strict=True)]
    return (
        f'<path class="arrow" d="M{first[0]:.1f} {first[1]:.1f}Q{middle[0]:.1f} {middle[1]:.1f} '
        f'{last[0]:.1f} {last[1]:.1f}" marker-end="url(#states-tip)"/>'
        f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="10"/>'
        f'<text class="number" x="{at[0]:.1f}" y="{at[1]:.1f}">{number}</text>'
    )


def _edge(centre: tuple[float, float], towards: tuple[float, float]) -> tuple[float, float]:
    """Where a line from the middle of a box leaves it."""
    dx, dy = towards[0] - centre[0], towards[1] - centre[1]
    share = min(
        _WIDTH / 2 / abs(dx) if dx else math.inf,
        _HEIGHT / 2 / abs(dy) if dy else math.inf,
    )
    return centre[0] + dx * share, centre[1] + dy * share
