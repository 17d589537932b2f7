"""Edits of spans: made from the tree, applied to the bytes, everything else stays as it is."""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterable

from seedcore_ray.migrate._model import Edit
from seedcore_ray.migrate._source import Source, Token

_RENAMED = {"address": "ray_address", "namespace": "ray_namespace"}
_DROPPED = "ignore_reinit_error"


def apply(text: bytes, edits: Iterable[Edit]) -> bytes:
    """The text with all edits, which must not overlap."""
    parts, done = [], 0
    for edit in sorted(edits):
        parts += [text[done : edit.start], edit.new]
        done = edit.end
    return b"".join([*parts, text[done:]])


def together(edits: list[Edit], others: Iterable[Edit]) -> list[Edit]:
    """The edits, with those of the others that none of them covers anyway."""
    free = [
        other
        for other in others
        if not any(one.start <= other.start and other.end <= one.end for one in edits)
    ]
    return [*edits, *free]


def overlap(edits: Iterable[Edit], others: Iterable[Edit]) -> bool:
    """Whether two sets of edits want different things of the same place."""
    return any(
        one != other and one.start < other.end and other.start < one.end
        for one in edits
        for other in others
    )


def renamed_call(source: Source, call: ast.Call, function: str) -> list[Edit] | None:
    """Edits that make ``ray.init(...)`` a call of ours; None where that cannot be done safely."""
    edits = [Edit(*source.bounds(call.func), function.encode())]
    for keyword in call.keywords:
        if keyword.arg in _RENAMED:
            start = source.bounds(keyword)[0]
            edits.append(Edit(start, start + len(keyword.arg), _RENAMED[keyword.arg].encode()))
        elif keyword.arg == _DROPPED:
            dropped = _without(source, call, keyword)
            if dropped is None:
                return None
            edits.append(dropped)
    return edits


def _without(source: Source, call: ast.Call, keyword: ast.keyword) -> Edit | None:
    """The edit that removes an argument with its comma, and no comment."""
    start, end = source.bounds(keyword)
    opening = source.bounds(call.func)[1]
    tokens = list(source.tokens(*source.bounds(call)))
    inside = [token for token in tokens if opening <= token.start and token.text.strip()]
    after = next((token for token in inside if token.start >= end), None)
    if after is None or after.text not in (",", ")"):
        return None  # the value has brackets of its own
    others = [one for one in (*call.args, *call.keywords) if one is not keyword]
    if not others and not any(token.kind == tokenize.COMMENT for token in inside):
        first = next(token for token in inside if token.text == "(")
        return Edit(first.end, source.bounds(call)[1] - 1, b"")
    if after.text == ",":
        return _with_comma(source, start, after)
    before = [token for token in inside if token.end <= start]
    if before[-1].text == ",":
        return Edit(before[-1].start, end, b"")  # the comma before it, and no comment between
    return Edit(start, end, b"")


def _with_comma(source: Source, start: int, comma: Token) -> Edit:
    """Removes from ``start`` up to the comma, and the white space that is left over."""
    text = source.text
    line_start = source.line_start(source.line_of(start))
    begins_line = not text[line_start:start].strip()
    after = comma.end
    while text[after : after + 1] in (b" ", b"\t"):
        after += 1
    if text[after : after + 1] in (b"\r", b"\n") and begins_line:
        return Edit(line_start, source.line_start(source.line_of(comma.end) + 1), b"")
    if begins_line or text[after : after + 1] not in (b"\r", b"\n", b"#", b")"):
        return Edit(start, after, b"")
    return Edit(len(text[:start].rstrip(b" \t")), comma.end, b"")


def unguarded(source: Source, guard: ast.If) -> list[Edit] | None:
    """Edits that leave only the one statement of an ``if``; None where it has to stay.

    Its comments stay. A text over several lines would be changed by the new indent.
    """
    start, (body, end) = source.bounds(guard)[0], source.bounds(guard.body[0])
    if source.text[start : start + 2] != b"if":
        return None  # an `elif`
    first, last = source.line_of(body), source.line_of(end)
    if source.line_of(start) == first:
        return [Edit(start, body, b"")]
    if any(
        isinstance(node, (ast.Constant, ast.JoinedStr)) and node.lineno != node.end_lineno
        for node in ast.walk(guard.body[0])
    ):
        return None
    outer = source.text[source.line_start(source.line_of(start)) : start]
    inner = source.text[source.line_start(first) : body]
    if not inner.startswith(outer) or inner.strip() or outer.strip():
        return None
    edits = _without_header(source, guard)
    if not edits:
        return None
    surplus = len(inner) - len(outer)
    number = source.line_of(edits[0].end - 1) + 1
    last = _last_comment_below(source, last, inner)
    while number <= last:
        line = source.line(number)
        room = len(line) - len(line.lstrip(b" \t"))
        if line.strip() and room > len(outer):
            at = source.line_start(number) + len(outer)
            edits.append(Edit(at, at + min(surplus, room - len(outer)), b""))
        number += 1
    return edits


def _last_comment_below(source: Source, last: int, indent: bytes) -> int:
    """The last line of the comments that end a block, else its last line of code."""
    number, end = last + 1, source.line_of(len(source.text))
    while number <= end and source.line(number).strip()[:1] in (b"", b"#"):
        if source.line(number).startswith(indent + b"#"):
            last = number
        number += 1
    return last


def _without_header(source: Source, guard: ast.If) -> list[Edit]:
    """Removes the line of the ``if``; a comment at its end stays, on a line of its own."""
    start, test_end = source.bounds(guard)[0], source.bounds(guard.test)[1]
    body = source.bounds(guard.body[0])[0]
    header = source.text[test_end:body]
    comment = re.match(rb"[\s)\\]*:[ \t]*(?=#)", header)
    if comment:
        return [Edit(start, test_end + comment.end(), b"")]
    colon = re.match(rb"[\s)\\]*:", header)
    if colon is None:
        return []
    line = source.line_of(test_end + colon.end() - 1)
    return [Edit(source.line_start(source.line_of(start)), source.line_start(line + 1), b"")]
