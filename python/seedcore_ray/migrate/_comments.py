"""``# seedcore-ray: ignore[RAY101] reason``: which findings a comment suppresses."""

from __future__ import annotations

import re
import tokenize
from collections.abc import Sequence

from seedcore_ray.migrate._model import Finding, Span
from seedcore_ray.migrate._source import Source

_MARK = re.compile(r"#\s*seedcore-ray:\s*ignore(?P<file>-file)?(?:\[(?P<codes>[^\]]*)\])?")
_HINT = b"seedcore-ray:"


class _Comment:
    """One such comment, and whether it was of use."""

    def __init__(self, source: Source, start: int, end: int, match: re.Match[str]) -> None:
        self.span: Span = source.span_of(start, end)
        self.codes = [code.strip() for code in (match["codes"] or "RAY").split(",")]
        line = source.line_of(start)
        self.lines: range | None = range(line, line + 1)
        if match["file"]:
            self.lines = None
        elif not source.line(line)[: start - source.line_start(line)].strip():
            self.lines = range(line, _next_code(source, line) + 1)
        self.is_used = False

    def suppresses(self, finding: Finding) -> bool:
        last = finding.last_line or finding.span.end_line
        if self.lines is not None and not (
            self.lines.start <= last and finding.span.line < self.lines.stop
        ):
            return False
        return any(finding.code.startswith(code) for code in self.codes if code)


def _next_code(source: Source, line: int) -> int:
    """The next line that is neither empty nor a comment."""
    number, last = line + 1, source.line_of(len(source.text))
    while number < last and source.line(number).strip()[:1] in (b"", b"#"):
        number += 1
    return number


def unsuppressed(source: Source, findings: Sequence[Finding]) -> list[Finding]:
    """The findings that no comment suppresses, and the comments that suppress none."""
    if _HINT not in source.text:
        return list(findings)
    comments = [
        _Comment(source, token.start, token.end, match)
        for token in source.tokens()
        if token.kind == tokenize.COMMENT and (match := _MARK.match(token.text))
    ]
    left = []
    for finding in findings:
        found = [comment for comment in comments if comment.suppresses(finding)]
        for comment in found:
            comment.is_used = True
        if not found:
            left.append(finding)
    unused = [Finding("RAY901", "", comment.span) for comment in comments if not comment.is_used]
    return [*left, *unused]
