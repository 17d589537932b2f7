"""What is found at one ``ray.init`` call, and its rewrite."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import NamedTuple

from seedcore_ray.migrate import _edits, _places
from seedcore_ray.migrate._arguments import Arguments
from seedcore_ray.migrate._model import Edit, Finding, Fix
from seedcore_ray.migrate._names import Names
from seedcore_ray.migrate._source import Source

_AWAITED = "nothing relies on no other task running while it connects"
_STARTS_ONE = (
    "the service has a cluster: RAY_ADDRESS, or a Ray of this machine (without one Ray starts one "
    "here, `seedcore_ray` raises)"
)


class Module(NamedTuple):
    """A file, as the rules see it."""

    source: Source
    names: Names
    path: str
    is_test: bool
    is_notebook: bool = False


class Verdict(NamedTuple):
    """The rule that a call falls under, and whether a rewrite does the same."""

    code: str
    detail: str = ""
    """Why it is this rule, in the case at hand."""
    assumptions: tuple[str, ...] = ()
    obstacle: str = ""
    """Why it is not rewritten although its rule has a fix."""
    is_fixable: bool = False


def verdict(module: Module, call: ast.Call) -> Verdict | None:
    """The first rule that matches; None for a test that has a cluster of its own."""
    names = module.names
    arguments = Arguments(call, names.meaning)
    if "allow_multiple" in arguments.keywords:
        return Verdict("RAY107")
    if unreadable := arguments.unreadable(call):
        return Verdict("RAY109", unreadable)
    if own := arguments.own_cluster():
        return None if module.is_test else Verdict("RAY106", own)
    if use := _places.use_of_result(names, call):
        return Verdict("RAY104", use)
    if repeated := _places.repetition(names, call):
        return Verdict("RAY105", repeated)
    return _fixable(module, call, arguments)


def _fixable(module: Module, call: ast.Call, arguments: Arguments) -> Verdict:
    names = module.names
    assumptions = [arguments.address_assumption(), arguments.namespace_assumption()]
    code = "RAY101"
    if arguments.address is None:
        code, assumptions = "RAY102", [_STARTS_ONE, *assumptions]
    if _places.is_async(names, call):
        code, assumptions = "RAY202", [_AWAITED, *assumptions]
    needed = tuple(one for one in assumptions if one)
    obstacle = (
        arguments.foreign_scheme()
        or _places.uncaught(names, call)
        or ("it follows `ray.shutdown()`" if _places.follows_shutdown(names, call) else "")
        or _obstacle_of_place(module, needed)
    )
    return Verdict(code, "", needed, obstacle, not obstacle)


def _obstacle_of_place(module: Module, assumptions: tuple[str, ...]) -> str:
    if obstacle := uneditable(module):
        return obstacle
    if module.names.others_bind("seedcore_ray"):
        return "the name `seedcore_ray` is taken here"
    if module.is_test and assumptions:
        return "a test may mean a cluster of its own"
    return ""


def uneditable(module: Module) -> str:
    """Why nothing in a file is rewritten; empty if something may be."""
    if module.is_notebook:
        return "notebooks are not rewritten"
    if not module.source.is_editable:
        return "the file's encoding does not give back its own bytes"
    return ""


def _fix(module: Module, call: ast.Call, judged: Verdict, unguarded: Sequence[Edit]) -> Fix | None:
    """The rewrite of a call, with the removal of the ``if`` that guards nothing else."""
    source = module.source
    awaited = judged.code == "RAY202"
    function = "await seedcore_ray.connect_async" if awaited else "seedcore_ray.connect"
    if any(isinstance(parent, ast.JoinedStr) for parent, _ in module.names.ancestors(call)):
        return None  # before Python 3.12 their places are wrong
    edits = _edits.renamed_call(source, call, function)
    if edits is None:
        return None
    shown = now(source, module.names.statement(call), edits)
    return Fix(tuple(_edits.together(edits, unguarded)), shown, judged.assumptions)


def now(source: Source, statement: ast.stmt, edits: Sequence[Edit] = ()) -> str:
    """What edits leave of a statement, its lines moved to the left."""
    start, end = source.bounds(statement)
    inside = [edit for edit in edits if start <= edit.start and edit.end <= end]
    moved = [Edit(one.start - start, one.end - start, one.new) for one in inside]
    indent = start - source.line_start(source.line_of(start))
    first, *rest = _edits.apply(source.text[start:end], moved).decode().splitlines()
    return "\n".join(
        [first, *(line[min(indent, len(line) - len(line.lstrip())) :] for line in rest)]
    )


def finding(module: Module, call: ast.Call, unguarded: Sequence[Edit]) -> Finding | None:
    """What is found at a call; its rewrite includes the edits that remove its guard."""
    judged = verdict(module, call)
    if judged is None:
        return None
    rewrite = _fix(module, call, judged, unguarded) if judged.is_fixable else None
    obstacle = judged.obstacle
    if judged.is_fixable and rewrite is None:
        obstacle = "its text cannot be edited safely"
    statement = module.names.statement(call)
    return Finding(
        judged.code,
        judged.detail,
        module.source.span(call),
        rewrite,
        f"not rewritten: {obstacle}" if obstacle else "",
        statement.end_lineno or 0,
    )
