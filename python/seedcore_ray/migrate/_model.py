"""What the parts of the command hand to each other."""

from __future__ import annotations

from typing import NamedTuple


class Edit(NamedTuple):
    """Replace the bytes from ``start`` to ``end`` of the source's UTF-8 text."""

    start: int
    end: int
    new: bytes


class Span(NamedTuple):
    """A place in a source: lines and columns count from 1, columns in characters."""

    line: int
    column: int
    end_line: int
    end_column: int


class Fix(NamedTuple):
    """A rewrite of one finding."""

    edits: tuple[Edit, ...]
    now: str
    """The statement that it leaves, for people."""
    assumptions: tuple[str, ...]
    """What has to hold for the program to do the same as before; none for a safe fix."""
    needs_import: bool = True
    """Whether what it leaves uses the name ``seedcore_ray``."""

    @property
    def is_safe(self) -> bool:
        """Whether ``--fix`` applies it without ``--unsafe-fixes``."""
        return not self.assumptions


class Finding(NamedTuple):
    """One thing that was found in one file."""

    code: str
    message: str
    span: Span
    fix: Fix | None = None
    hint: str = ""
    """What to do by hand; shown where there is no fix."""
    last_line: int = 0
    """The last line on which a comment may suppress it; 0 is the end of the span."""
    cell: int | None = None
    """The code cell of a notebook, from 1."""

    @property
    def level(self) -> str:
        """``warning`` for what a fix exists for and what breaks otherwise, else ``note``."""
        return "warning" if self.fix is not None else "note"


class Report(NamedTuple):
    """What became of one file."""

    path: str
    """As it is shown, relative to the working directory where it lies below it."""
    findings: list[Finding]
    lines: list[str]
    """The source's lines, for the report; none where nothing was found."""
    fixed: list[Finding]
    """Those that were rewritten."""
    before: bytes = b""
    after: bytes | None = None
    """The rewritten file; None where nothing changes."""
    failure: str = ""
    """Why it could not be rewritten, where it should have been."""
