"""A source file as bytes, with its encoding, and the way between places and byte offsets."""

from __future__ import annotations

import ast
import codecs
import io
import re
import tokenize
import warnings
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from seedcore_ray.migrate._model import Span

_LINE_END = re.compile(rb"\r\n|\n|\r")


class NotPython(Exception):
    """The source cannot be parsed; ``line`` is where, from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class Token(NamedTuple):
    """A token, with offsets into the source's UTF-8 text."""

    kind: int
    text: str
    start: int
    end: int


class Source:
    """A parsed file. Offsets are those of ``text``: UTF-8, without a byte order mark.

    Raises:
        NotPython: when this Python cannot read it.
    """

    def __init__(self, data: bytes) -> None:
        self._bom = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
        self._encoding = _encoding(data)
        try:
            text = data[len(self._bom) :].decode(self._encoding)
        except UnicodeDecodeError as error:
            raise NotPython(f"not {self._encoding}: {error.reason}", 1) from None
        self.text = text.encode()
        self.tree = _parsed(text)
        ends = [match.end() for match in _LINE_END.finditer(self.text)]
        self._starts = [0, *ends]
        first = _LINE_END.search(self.text)
        self.newline = first.group() if first else b"\n"
        # A codec that does not give back the bytes it was given cannot be edited.
        self.is_editable = self.encoded(self.text) == data

    def encoded(self, text: bytes) -> bytes:
        """The file's bytes for this UTF-8 text: in its encoding, with its byte order mark."""
        return self._bom + text.decode().encode(self._encoding, "replace")

    def offset(self, line: int, column: int) -> int:
        """Where ``ast`` means with a line, from 1, and a column in UTF-8 bytes, from 0."""
        return self._starts[line - 1] + column

    def line_of(self, offset: int) -> int:
        """The line, from 1, of an offset."""
        return bisect_right(self._starts, offset)

    def line_start(self, line: int) -> int:
        """Where a line begins; the end of the text for the line after the last."""
        return self._starts[line - 1] if line <= len(self._starts) else len(self.text)

    def line(self, line: int) -> bytes:
        """A line without its end."""
        return self.text[self.line_start(line) : self.line_start(line + 1)].rstrip(b"\r\n")

    def lines(self) -> list[str]:
        """All lines without their ends."""
        return [self.line(number).decode() for number in range(1, len(self._starts) + 1)]

    def bounds(self, node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
        """Start and end of a node."""
        assert node.end_lineno is not None and node.end_col_offset is not None
        start = self.offset(node.lineno, node.col_offset)
        return start, self.offset(node.end_lineno, node.end_col_offset)

    def of(self, node: ast.expr | ast.stmt | ast.keyword) -> str:
        """The text of a node."""
        start, end = self.bounds(node)
        return self.text[start:end].decode()

    def span(self, node: ast.expr | ast.stmt | ast.keyword) -> Span:
        """The place of a node, for people."""
        return self.span_of(*self.bounds(node))

    def span_of(self, start: int, end: int) -> Span:
        """The place between two offsets, for people."""
        line, end_line = self.line_of(start), self.line_of(end)
        column = len(self.text[self.line_start(line) : start].decode()) + 1
        return Span(
            line, column, end_line, len(self.text[self.line_start(end_line) : end].decode()) + 1
        )

    def tokens(self, start: int = 0, end: int | None = None) -> Iterator[Token]:
        """The tokens of the text, or of a whole expression in it."""
        lines = _LINES.findall(self.text[start:end].decode())
        starts = [start]
        for line in lines:
            starts.append(starts[-1] + len(line.encode()))
        # Lone carriage returns are line ends for `ast`, but not for every tokenizer.
        ended = iter([re.sub(r"(\r\n|\r|\n)\Z", "\n", line) for line in lines])
        try:
            for token in tokenize.generate_tokens(lambda: next(ended, "")):
                (row, column), (end_row, end_column) = token.start, token.end
                if end_row > len(lines):
                    return
                yield Token(
                    token.type,
                    token.string,
                    starts[row - 1] + len(lines[row - 1][:column].encode()),
                    starts[end_row - 1] + len(lines[end_row - 1][:end_column].encode()),
                )
        except (tokenize.TokenError, SyntaxError):
            return


_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def _encoding(data: bytes) -> str:
    try:
        name, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError as error:
        raise NotPython(error.msg or "unknown encoding", 1) from None
    return "utf-8" if name == "utf-8-sig" else name


def _parsed(text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            return ast.parse(text)
    except SyntaxError as error:
        raise NotPython(error.msg or "invalid syntax", error.lineno or 1) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise NotPython(str(error) or type(error).__name__, 1) from None
