"""Output of the command line: coloured and wrapped on a terminal, plain otherwise."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TextIO

SCHEMA = 1
"""Version of every JSON document; a field that is added does not raise it."""

_STYLES = {
    "ok": "32",
    "failed": "1;31",
    "skipped": "2",
    "faint": "2",
    "strong": "1",
    # A difference, as git shows it.
    "added": "32",
    "removed": "31",
    "hunk": "36",
}


class Console:
    """A stream with the width and the colours of its terminal, if it is one."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self.is_terminal = self._stream.isatty()
        self._coloured = _wants_colour(self.is_terminal)

    def style(self, text: str, style: str) -> str:
        """The text in a style, where the stream shows colours."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._coloured and text else text

    def write(self, text: str) -> None:
        """Write a line and flush it."""
        print(text, file=self._stream, flush=True)

    def progress(self, text: str, style: str) -> None:
        """Replace the line that was written with this method last; only on a terminal."""
        self._stream.write(f"\r\x1b[K{self.style(self.clipped(text, 1), style)}")
        self._stream.flush()

    def width(self) -> int:
        """Columns of the terminal; unlimited without one."""
        if not self.is_terminal:
            return sys.maxsize
        try:
            return max(os.get_terminal_size(self._stream.fileno()).columns, 40)
        except OSError:
            return 80

    def clipped(self, text: str, indent: int) -> str:
        """The text for a column that begins at ``indent``, cut off at the edge of the terminal."""
        room = self.width() - indent
        return text if len(text) <= room else f"{text[: max(room - 3, 0)]}..."

    def wrapped(self, text: str, indent: int) -> str:
        """The text for a column that begins at ``indent``, wrapped to the terminal."""
        room = self.width() - indent
        if len(text) <= room:
            return text
        from textwrap import wrap

        lines = wrap(text, max(room, 30), break_on_hyphens=False, break_long_words=False)
        return ("\n" + " " * indent).join(lines)


def _wants_colour(is_terminal: bool) -> bool:
    """By https://no-color.org, https://force-color.org and https://bixense.com/clicolors."""
    if os.environ.get("NO_COLOR"):
        return False
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):
        if os.environ.get(name, "0") not in ("", "0"):
            return True
    if os.environ.get("CLICOLOR") == "0":
        return False
    return is_terminal and os.environ.get("TERM", "dumb") != "dumb"


def document(command: str, exit_code: int, fields: dict[str, Any]) -> str:
    """The JSON document that ``--json`` prints."""
    import json

    head = {"schema": SCHEMA, "command": command, "ok": exit_code == 0, "exit_code": exit_code}
    return json.dumps({**head, **fields}, indent=2)


def columns(rows: Sequence[Sequence[str]]) -> list[int]:
    """The width of each column."""
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def duration(seconds: float) -> str:
    """A duration in milliseconds, from a second on in seconds."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"


def sentence(text: str) -> str:
    """The text with a full stop."""
    return text if text.endswith((".", "?", "!")) else f"{text}."
