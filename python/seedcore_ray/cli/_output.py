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

_STYLES = {"ok": "32", "failed": "1;31", "skipped": "2", "faint": "2", "strong": "1"}


class Console:
    """A stream with the width and the colours of its terminal, if it is one."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self.is_terminal = self._stream.isatty()
        self._coloured = (
            self.is_terminal
            and not os.environ.get("NO_COLOR")
            and os.environ.get("TERM", "dumb") != "dumb"
        )

    def style(self, text: str, style: str) -> str:
        """The text in a style, where the stream shows colours."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._coloured and text else text

    def write(self, text: str) -> None:
        """Write a line and flush it."""
        print(text, file=self._stream, flush=True)

    def progress(self, text: str) -> None:
        """Replace the last line that was written with this method; only on a terminal."""
        width = self.width()
        self._stream.write(f"\r\x1b[K{text if len(text) < width else text[: width - 4] + '...'}")
        self._stream.flush()

    def width(self) -> int:
        """Columns of the terminal; unlimited without one."""
        if not self.is_terminal:
            return sys.maxsize
        try:
            return max(os.get_terminal_size(self._stream.fileno()).columns, 40)
        except OSError:
            return 80

    def wrapped(self, text: str, indent: int) -> str:
        """The text for a column that begins at ``indent``, wrapped to the terminal."""
        room = self.width() - indent
        if len(text) <= room:
            return text
        from textwrap import wrap

        lines = wrap(text, max(room, 30), break_on_hyphens=False, break_long_words=False)
        return ("\n" + " " * indent).join(lines)


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
