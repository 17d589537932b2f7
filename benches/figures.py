"""What a measurement is, and how it reads."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Unit = Literal["s", "bytes"]
_SCALES: dict[Unit, tuple[tuple[float, str], ...]] = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")),
    "bytes": ((2.0**20, "MB"), (2.0**10, "kB"), (1.0, "B")),
}


@dataclass(frozen=True)
class Figure:
    """A median, with the samples it comes from. ``capped``: it was stopped at this value."""

    value: float
    unit: Unit = "s"
    capped: bool = False
    samples: tuple[float, ...] = ()

    @classmethod
    def median(cls, samples: Sequence[float], unit: Unit = "s") -> Figure:
        """The median of the samples."""
        return cls(statistics.median(samples), unit, samples=tuple(samples))

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Figure:
        """What ``as_json`` has kept."""
        unit: Unit = "bytes" if "bytes" in kept else "s"
        return cls(kept[unit], unit, kept.get("capped", False))

    def as_json(self) -> dict[str, Any]:
        """The median alone, with more digits than are shown."""
        kept: dict[str, Any] = {self.unit: float(f"{self.value:.6g}")}
        return {**kept, "capped": True} if self.capped else kept

    def __str__(self) -> str:
        more = "> " if self.capped else ""
        return more + show(self.value, self.unit)


def show(value: float, unit: Unit) -> str:
    """A value with three digits and the unit that suits it."""
    scales = _SCALES[unit]
    scale, name = next((pair for pair in scales if abs(value) >= pair[0]), scales[-1])
    number = value / scale
    return f"{number:.0f} {name}" if number >= 100 else f"{number:.3g} {name}"


@dataclass(frozen=True)
class Check:
    """One condition of a row, in words and in fact."""

    text: str
    passed: bool

    @classmethod
    def below(cls, figure: Figure, limit: float) -> Check:
        """The figure is under an absolute limit."""
        return cls(f"< {show(limit, figure.unit)}", figure.value < limit)

    @classmethod
    def at_most(cls, figure: Figure, times: float, other: Figure, name: str) -> Check:
        """The figure is at most so many times another one."""
        ratio = figure.value / other.value
        return cls(f"<= {times:g}x {name} (is {ratio:.2f}x)", ratio <= times)

    @classmethod
    def faster(cls, figure: Figure, times: float, other: Figure, name: str) -> Check:
        """The figure is smaller than another one by at least this factor."""
        ratio = other.value / figure.value
        return cls(f">= {times:g}x faster than {name} (is {ratio:.1f}x)", ratio >= times)


@dataclass(frozen=True)
class Row:
    """One line of the table: what we take, beside what others take, and what it must show."""

    what: str
    ours: Figure | None = None
    empty: Figure | None = None
    ray: Figure | None = None
    reference: Figure | None = None
    checks: tuple[Check, ...] = ()
    note: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> Literal["pass", "FAIL", "skip"]:
        """``skip`` when nothing of ours was there to be measured."""
        if not all(check.passed for check in self.checks):
            return "FAIL"
        return "skip" if self.ours is None else "pass"

    @property
    def figures(self) -> dict[str, Figure]:
        """By column, those that were measured."""
        columns = {
            "ours": self.ours,
            "empty": self.empty,
            "ray": self.ray,
            "reference": self.reference,
        }
        return {name: figure for name, figure in columns.items() if figure is not None}

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> Row:
        """What ``as_json`` has kept."""
        figures: dict[str, Any] = {
            name: Figure.from_json(figure) for name, figure in kept["figures"].items()
        }
        checks = tuple(Check(*check) for check in kept["checks"].items())
        return cls(kept["what"], **figures, checks=checks, note=kept.get("note", ""))

    def as_json(self) -> dict[str, Any]:
        """What the results file keeps: no samples, no ``extra``."""
        return {
            "what": self.what,
            "figures": {name: figure.as_json() for name, figure in self.figures.items()},
            "checks": {check.text: check.passed for check in self.checks},
            **({"note": self.note} if self.note else {}),
        }


def table(rows: Sequence[Row]) -> str:
    """The rows, aligned, one condition a line."""
    lines: list[tuple[str, ...]] = [
        ("what", "ours", "empty call", "bare Ray", "reference", "", "must show")
    ]
    for row in rows:
        figures = (row.ours, row.empty, row.ray, row.reference)
        wanted = [check.text if check.passed else f"{check.text}  <--" for check in row.checks]
        if row.note:
            wanted.append(f"({row.note})")
        shown = ["-" if figure is None else str(figure) for figure in figures]
        lines.append((row.what, *shown, row.verdict, wanted[0] if wanted else ""))
        lines.extend(("",) * 6 + (text,) for text in wanted[1:])
    widths = [max(len(line[column]) for line in lines) for column in range(7)]
    return "\n".join(_aligned(line, widths) for line in lines)


def _aligned(line: tuple[str, ...], widths: list[int]) -> str:
    cells = [line[0].ljust(widths[0])]
    cells += [cell.rjust(width) for cell, width in zip(line[1:5], widths[1:5], strict=True)]
    cells += [line[5].ljust(widths[5]), line[6]]
    return "  ".join(cells).rstrip()
