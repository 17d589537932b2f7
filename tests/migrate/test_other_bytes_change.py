"""Generated sources: only the planned spans change, comments stay, and the result is a program."""

from __future__ import annotations

import ast
import codecs
import io
import re
import tokenize

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedcore_ray.migrate._check import examine, rewrite
from seedcore_ray.migrate._gitignore import is_ignored, read
from seedcore_ray.migrate._model import Span
from seedcore_ray.migrate._rules import RULES
from seedcore_ray.migrate._source import NotPython, Source

_FEW = settings(max_examples=200, deadline=None, database=None)
_LINE_END = re.compile(rb"\r\n|\r|\n")
_SPACE = st.sampled_from(["", " ", "  "])
_COMMENT = st.sampled_from(["", "  # größer 😀", "  # ray.init()", "  #", " # ,)"])
_LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])
_VALUES = {
    "address": ['"auto"', '"ray://h:1"', "None", "address", 'f"ray://{h}"', '("auto")'],
    "namespace": ['"jobs"', "None", "namespace", 'os.getenv("N", "größer")'],
    "ignore_reinit_error": ["True"] * 6 + ["False", "(True)", "again"],
    "runtime_env": ['{"pip": ["a", "b"]}', "dict(a=(1, 2))"],
    "num_cpus": ["None", "None", "2"],
    "logging_level": ['"ERROR"', "level"],
}


@st.composite
def _call(draw: st.DrawFn, indent: str) -> str:
    """A ``ray.init(...)`` in any layout."""
    names = draw(st.lists(st.sampled_from(sorted(_VALUES)), unique=True, max_size=5))
    arguments = [f"{name}={draw(st.sampled_from(_VALUES[name]))}" for name in names]
    breaks = draw(st.booleans())
    text = draw(_SPACE) + "("
    for number, argument in enumerate(arguments):
        if breaks and draw(st.booleans()):
            text += f"{draw(_COMMENT)}\n{indent}{draw(_SPACE)}    "
        comma = number < len(arguments) - 1 or draw(st.booleans())
        text += argument + draw(_SPACE) + ("," if comma else "") + draw(_SPACE)
    if breaks and draw(st.booleans()):
        text += f"{draw(_COMMENT)}\n{indent}"
    return f"ray.init{text})"


@st.composite
def _statement(draw: st.DrawFn, indent: str) -> str:
    """A call as people write it: plain, guarded, tried, in a function of its own."""
    form = draw(
        st.sampled_from(["{0}", "guard", "try", "context = {0}", "x = 1; {0}", "def", "async"])
    )
    deeper = indent + draw(st.sampled_from(["    ", "  ", "\t"]))
    tail = draw(_COMMENT)
    match form:
        case "guard":
            inner = f"{deeper}{draw(_call(deeper))}{tail}\n"
            more = draw(st.sampled_from(["", f"{deeper}# more\n", f"{deeper}print(1)\n"]))
            return f"{indent}if not ray.is_initialized():{draw(_COMMENT)}\n{inner}{more}"
        case "try":
            caught = draw(st.sampled_from(["Exception", "RuntimeError", "(OSError, KeyError)"]))
            inner = f"{deeper}{draw(_call(deeper))}{tail}\n"
            return f"{indent}try:\n{inner}{indent}except {caught}:\n{deeper}pass\n"
        case "def" | "async":
            head = f"{indent}{'async ' if form == 'async' else ''}def start():{draw(_COMMENT)}\n"
            return head + draw(_statement(deeper))
    return f"{indent}{form.format(draw(_call(indent)))}{tail}\n"


@st.composite
def _program(draw: st.DrawFn) -> bytes:
    head = draw(
        st.sampled_from(["", '"""Größer."""\n', "#!/bin/sh\n", "# -*- coding: utf-8 -*-\n"])
    )
    head += draw(
        st.sampled_from(["import ray\n", "import os, ray  # both\n", "import os\nimport ray\n"])
    )
    body = "".join(draw(st.lists(_statement(""), min_size=1, max_size=4)))
    text = (head + body).replace("\n", draw(_LINE_ENDS))
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode()


def _comments(data: bytes) -> list[str]:
    text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]


@_FEW
@given(_program(), st.booleans())
def test_comments_stay_and_the_result_is_a_program(data: bytes, unsafe: bool) -> None:
    done = rewrite(data, "src/jobs.py", set(RULES), unsafe)
    assert not done.failure, done.failure
    assert _comments(done.data) == _comments(data)
    ast.parse(Source(done.data).text)
    assert rewrite(done.data, "src/jobs.py", set(RULES), unsafe).data == done.data
    assert done.data.startswith(codecs.BOM_UTF8) is data.startswith(codecs.BOM_UTF8)
    assert set(_LINE_END.findall(done.data)) == set(_LINE_END.findall(data))


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_comments_stay_in_many_more() -> None:
    check = getattr(test_comments_stay_and_the_result_is_a_program, "hypothesis").inner_test  # noqa: B009
    settings(_FEW, max_examples=3_000)(given(_program(), st.booleans())(check))()


@_FEW
@given(_program())
def test_every_byte_outside_of_the_edits_stays(data: bytes) -> None:
    source = Source(data)
    for finding in examine(data, "src/jobs.py").findings:
        if finding.fix is None:
            continue
        statements = [node for node in ast.walk(source.tree) if isinstance(node, ast.stmt)]
        around = [source.bounds(node) for node in statements if _holds(node, finding.span)]
        # Comments that end a guard move to the left with it.
        start, end = min(around)[0], max(end for _, end in around)
        for edit in finding.fix.edits:
            assert source.line_start(source.line_of(start)) <= edit.start
            removed = source.text[edit.start : edit.end]
            assert edit.end <= end or not removed.strip(), (edit, removed)


def _holds(node: ast.stmt, span: Span) -> bool:
    return node.lineno <= span.line and span.end_line <= (node.end_lineno or node.lineno)


@_FEW
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda data: data.decode("latin-1")))
def test_any_text_is_read_or_said_to_be_no_python(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")
    try:
        assert Source(data).encoded(Source(data).text) == data or not Source(data).is_editable
    except NotPython as error:
        assert str(error)
    examine(b"import ray\n" + data, "src/jobs.py")


@_FEW
@given(st.text("a*?/[]!-.\\ ", max_size=12), st.text("ab/.", min_size=1, max_size=8))
def test_any_pattern_of_a_gitignore_can_be_read(pattern: str, path: str) -> None:
    assert is_ignored(path, False, [read("", pattern)]) in (True, False)
