"""Jupyter notebooks: their code cells as one source, and back to the cell of a line."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from typing import Any, NamedTuple

from seedcore_ray.migrate._model import Finding, Span
from seedcore_ray.migrate._source import NotPython, Source

_CELL_MAGIC = re.compile(r"\s*%%(\w+)")
_OF_PYTHON = ("time", "timeit", "capture", "prun")


class Notebook(NamedTuple):
    """The cells that can be parsed, joined."""

    text: bytes
    starts: list[int]
    """The first line of each cell, from 1."""
    cells: list[int]
    """The number of each, among all code cells."""
    broken: list[Finding]
    """Cells that cannot be parsed."""

    def in_cell(self, finding: Finding) -> Finding:
        """A finding in the joined text as one in its cell."""
        at = bisect_right(self.starts, finding.span.line) - 1
        moved = self.starts[at] - 1
        line, column, end_line, end_column = finding.span
        span = Span(line - moved, column, end_line - moved, end_column)
        return finding._replace(span=span, cell=self.cells[at])


def read(data: bytes) -> Notebook:
    """Read a notebook.

    Raises:
        NotPython: when it is no notebook.
    """
    starts, cells, broken, lines = [], [], [], list[str]()
    for number, source in enumerate(_code_cells(data), start=1):
        code = _without_magics(source)
        try:
            Source(code.encode())
        except NotPython as error:
            if "ray" in code:
                span = Span(error.line, 1, error.line, 1)
                broken.append(Finding("RAY900", str(error), span, cell=number))
            continue
        starts.append(len(lines) + 1)
        cells.append(number)
        lines += code.split("\n")
    return Notebook("\n".join(lines).encode(), starts, cells, broken)


def _code_cells(data: bytes) -> list[str]:
    try:
        document: dict[str, Any] = json.loads(data)
        return [
            "".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == "code"
        ]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotPython(f"no notebook: {error}", 1) from None


def _without_magics(source: str) -> str:
    """The cell with IPython's own lines as empty statements; a cell of another language is none."""
    magic = _CELL_MAGIC.match(source)
    if magic and magic[1] not in _OF_PYTHON:
        return ""
    return "\n".join(
        line[: len(line) - len(line.lstrip())] + "pass" if line.lstrip()[:1] in ("%", "!") else line
        for line in source.split("\n")
    )
