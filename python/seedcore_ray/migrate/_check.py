"""One file: what is found in it, and what it looks like after the rewrites."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from seedcore_ray.migrate import _edits, _guards, _imports, _notebooks, _others, _places, _sites
from seedcore_ray.migrate._comments import unsuppressed
from seedcore_ray.migrate._model import Edit, Finding, Fix, Span
from seedcore_ray.migrate._names import Names
from seedcore_ray.migrate._sites import Module
from seedcore_ray.migrate._source import NotPython, Source

# In a file without these words there is nothing to find. The first is the whole word: a pattern
# that begins with its letters is searched ten times as fast as one that begins with a boundary.
_RAY = re.compile(rb"ray(?<!\wray)(?!\w)")
_CALLS = re.compile(rb"\binit\b|is_initialized|shutdown|\.ray[\"']")
_BESIDE = "the other `ray.init` of this function, which stays, may stay beside it"
_PASSES = 5


class Examined(NamedTuple):
    """What was found, and where homes of helpers are."""

    findings: list[Finding]
    helpers: dict[str, Finding]
    """Names of home-made helpers that are defined here."""
    lines: list[str]


class Rewritten(NamedTuple):
    """A file after its rewrites, or why there are none."""

    data: bytes
    fixed: list[Finding]
    failure: str = ""


def is_worth_parsing(data: bytes) -> bool:
    """Whether there can be anything to find in a file; nearly all end here.

    Plain searches come first, since they are ten times as fast as expressions.
    """
    if b"seedcore" in data:
        return True
    return b"ray" in data and _RAY.search(data) is not None and _CALLS.search(data) is not None


def examine(data: bytes, path: str) -> Examined:
    """Find what there is in one file, in the order of its lines."""
    if _others.is_shadowed(path):
        return Examined([Finding("RAY402", "", Span(1, 1, 1, 1))], {}, [])
    try:
        if path.endswith(".ipynb"):
            return _notebook(data, path)
        source = Source(data)
        return _module(Module(source, Names(source.tree), path, _places.is_test(path)))
    except NotPython as error:
        return _unparsed(str(error), error.line)
    except RecursionError:
        return _unparsed("an expression is nested too deep", 1)


def _unparsed(why: str, line: int) -> Examined:
    return Examined([Finding("RAY900", why, Span(line, 1, line, 1))], {}, [])


def _notebook(data: bytes, path: str) -> Examined:
    notebook = _notebooks.read(data)
    source = Source(notebook.text)
    module = Module(source, Names(source.tree), path, _places.is_test(path), is_notebook=True)
    found = _module(module)
    findings = [*notebook.broken, *map(notebook.in_cell, found.findings)]
    return found._replace(findings=sorted(findings, key=lambda one: (one.cell or 0, one.span)))


def _module(module: Module) -> Examined:
    names = module.names
    inits = [
        node
        for node in names.nodes
        if isinstance(node, ast.Call) and names.is_one_of(node.func, _places.INITS)
    ]
    guards = list(_guards.guards(names))
    helpers = dict(_others.helpers(module, inits))
    findings = [*_inits_and_guards(module, inits, guards), *helpers.values()]
    findings += [*_others.unresolved(module), *_others.passed_on(module)]
    findings += _others.at_import(module)
    findings += _others.patches(module)
    left = unsuppressed(module.source, sorted(findings, key=lambda one: (one.span, one.code)))
    return Examined(left, helpers, module.source.lines() if left else [])


def _inits_and_guards(
    module: Module, inits: list[ast.Call], guards: list[_guards.Guard]
) -> Iterator[Finding]:
    removals = _removals(module, guards)
    found: dict[ast.Call, Finding] = {}
    for call in inits:
        around = [
            removals[one.node] for one in guards if one.connects == (call,) and one.node in removals
        ]
        unguarded = around[0] if around else []
        if finding := _sites.finding(module, call, unguarded):
            found[call] = finding
    _demote(module, found)
    yield from found.values()
    for guard in guards:
        yield _guard_finding(module, guard, removals.get(guard.node), found)


def _removals(module: Module, guards: list[_guards.Guard]) -> dict[ast.If, list[Edit]]:
    """The edits that remove each guard that can go."""
    if _sites.uneditable(module):
        return {}
    found = {
        guard.node: _edits.unguarded(module.source, guard.node)
        for guard in guards
        if guard.is_removable
    }
    return {node: edits for node, edits in found.items() if edits is not None}


def _demote(module: Module, found: dict[ast.Call, Finding]) -> None:
    """No safe rewrite in a function that keeps another ``ray.init``: it may choose between them."""
    stays = {
        module.names.function(call)
        for call, finding in found.items()
        if finding.fix is None and not module.is_notebook
    }
    for call, finding in found.items():
        if finding.fix is not None and module.names.function(call) in stays:
            assumptions = (*finding.fix.assumptions, _BESIDE)
            found[call] = finding._replace(fix=finding.fix._replace(assumptions=assumptions))


def _guard_finding(
    module: Module,
    guard: _guards.Guard,
    removal: list[Edit] | None,
    found: dict[ast.Call, Finding],
) -> Finding:
    call = guard.connects[0]
    fix, obstacle = None, guard.detail
    if removal is not None and _places.is_ours(module.names, call):
        shown = _sites.now(module.source, guard.node.body[0])
        fix = Fix(tuple(removal), shown, (), needs_import=False)
    elif removal is not None and isinstance(call, ast.Call) and call in found:
        fix = found[call].fix  # one rewrite for both
    elif not obstacle:
        obstacle = _sites.uneditable(module) or "it cannot be taken away from around the call"
    if fix is None and not obstacle:
        obstacle = "the call in it stays as it is"
    hint = f"not rewritten: {obstacle}" if obstacle else ""
    return Finding("RAY103", "", module.source.span(guard.node.test), fix, hint)


def rewrite(data: bytes, path: str, codes: set[str], unsafe: bool) -> Rewritten:
    """Apply all fixes of these rules, the unsafe ones only when asked for.

    What comes out is parsed and examined again. Where that does not show what was meant, the file
    stays as it is.
    """
    fixed: list[Finding] = []
    result = data
    for _ in range(_PASSES):
        wanted = _applicable(examine(result, path).findings, codes, unsafe)
        if not wanted:
            return Rewritten(result, fixed)
        source = Source(result)
        taken, edits = _chosen(wanted)
        if any(one.fix.needs_import for one in taken if one.fix):
            first = min(one.span.line for one in taken)
            if not _imports.is_there(source.tree, first):
                start = min(edit.start for edit in edits)
                edits = [_imports.added(source, start), *edits]
        result = source.encoded(_edits.apply(source.text, edits))
        if wrong := _broken(result):
            return Rewritten(data, [], f"the rewrite would be broken: {wrong}")
        if len(_applicable(examine(result, path).findings, codes, unsafe)) >= len(wanted):
            return Rewritten(data, [], "the rewrite leaves what it should remove")
        fixed += taken
    return Rewritten(result, fixed)


def _broken(data: bytes) -> str:
    """Why a file is no program; the parser alone lets an ``await`` stand anywhere."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(Source(data).tree, "<rewritten>", "exec", dont_inherit=True)
    except (NotPython, SyntaxError, ValueError, RecursionError) as error:
        return str(error)
    return ""


def _applicable(findings: list[Finding], codes: set[str], unsafe: bool) -> list[Finding]:
    return [
        one
        for one in findings
        if one.code in codes and one.fix is not None and (unsafe or one.fix.is_safe)
    ]


def _chosen(wanted: list[Finding]) -> tuple[list[Finding], list[Edit]]:
    """The fixes that do not touch each other; the others come with the next pass."""
    taken: list[Finding] = []
    edits: list[Edit] = []
    for finding in wanted:
        assert finding.fix is not None
        if not _edits.overlap(finding.fix.edits, edits):
            taken.append(finding)
            edits += [edit for edit in finding.fix.edits if edit not in edits]
    return taken, edits
