"""What commands write on: plain in pipes and files, in colour and fitted on a terminal."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TextIO

SCHEMA = 1
"""Version of every JSON document; a field that is added does not raise it."""

_STYLES = {"ok": "32", "failed": "1;31", "skipped": "2", "faint": "2", "strong": "1"}


class Paper:
    """A stream, and whether it may be coloured."""

    def __init__(self, stream: "TextIO | None" = None) -> None:
        self._stream = stream or sys.stdout
        self.is_terminal = self._stream.isatty()
        self._coloured = (
            self.is_terminal
            and not os.environ.get("NO_COLOR")
            and os.environ.get("TERM", "dumb") != "dumb"
        )

    def style(self, text: str, style: str) -> str:
        """The text, in colour where that makes sense."""
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self._coloured and text else text

    def write(self, text: str) -> None:
        """Write it with a line's end, and do not keep it back."""
        print(text, file=self._stream, flush=True)

    def progress(self, text: str) -> None:
        """Write over the line that was written so last; only on a terminal."""
        width = self.width()
        self._stream.write(f"\r\x1b[K{text if len(text) < width else text[: width - 4] + '...'}")
        self._stream.flush()

    def width(self) -> int:
        """Columns of the terminal; of a pipe, more than any line has."""
        if not self.is_terminal:
            return sys.maxsize
        try:
            return max(os.get_terminal_size(self._stream.fileno()).columns, 40)
        except OSError:
            return 80

    def folded(self, text: str, indent: int) -> str:
        """The text for a column that begins at ``indent``, broken where a terminal would."""
        room = self.width() - indent
        if len(text) <= room:
            return text
        from textwrap import wrap

        lines = wrap(text, max(room, 30), break_on_hyphens=False, break_long_words=False)
        return ("\n" + " " * indent).join(lines)


def document(command: str, exit_code: int, fields: "dict[str, Any]") -> str:
    """What ``--json`` writes."""
    import json

    head = {"schema": SCHEMA, "command": command, "ok": exit_code == 0, "exit_code": exit_code}
    return json.dumps({**head, **fields}, indent=2)


def columns(rows: "Sequence[Sequence[str]]") -> list[int]:
    """The width of each column."""
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def shown_time(seconds: float) -> str:
    """A duration: milliseconds, from a second on seconds."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"


def interrupted() -> int:
    """Ctrl-C: one line, and the exit code that a shell gives it."""
    print("interrupted", file=sys.stderr)
    return 130


def hung_up() -> int:
    """Whoever read has enough. Python would complain at exit about what is left to be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1
