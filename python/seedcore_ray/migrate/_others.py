"""Findings that are no ``ray.init`` call: imports that connect, helpers, patches, wrong names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from seedcore_ray.migrate import _places
from seedcore_ray.migrate._model import Finding, Span
from seedcore_ray.migrate._names import UNKNOWN, Names
from seedcore_ray.migrate._sites import Module

_LIKE_RAY = re.compile(r"_*ray(_module|_mod|_lib|_api)?_*\Z")
_VERBS = re.compile(r"ensure|init|connect|start|set_?up|join|attach|bootstrap|require")
_CONNECT_NAMES = {"connect", "ensure_connected", "ensure_connection", "init_cluster"}
_PATCHED = re.compile(r"(?:^|\.)ray\.(?:init|is_initialized|shutdown)\Z|\.ray\Z")
_FUNCTIONS = ("init", "is_initialized", "shutdown")
_SHADOWED = re.compile(r"(^|/)seedcore/utils/(ray_utils|ray_connector)\.py\Z")


def is_shadowed(path: str) -> bool:
    """Whether the drop-in modules take the place of a file."""
    return _SHADOWED.search(path.replace("\\", "/")) is not None


def unresolved(module: Module) -> Iterator[Finding]:
    """Calls of ``init`` on something that may be Ray."""
    names = module.names
    for node in names.nodes:
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        meaning = names.meaning(function)
        if isinstance(function, ast.Name):
            star = names.module.bound.get("*") == {"ray.*"} and meaning == UNKNOWN
            doubtful = star and function.id == "init"
        elif isinstance(function, ast.Attribute) and function.attr == "init":
            holder = function.value
            last = getattr(holder, "attr", getattr(holder, "id", ""))
            doubtful = bool(_LIKE_RAY.match(last)) and meaning != _places.INIT
        else:
            continue
        if doubtful:
            yield Finding("RAY100", f"`{ast.unparse(function)}(...)`", module.source.span(node))


def passed_on(module: Module) -> Iterator[Finding]:
    """``ray.init`` as a value, to be called elsewhere."""
    names = module.names
    for node in names.nodes:
        if not isinstance(node, (ast.Name, ast.Attribute)) or not isinstance(node.ctx, ast.Load):
            continue
        if not names.is_one_of(node, _places.INITS):
            continue
        parent = names.parents[node]
        if not (isinstance(parent, ast.Call) and parent.func is node):
            yield Finding("RAY109", "it is called elsewhere", module.source.span(node))


def at_import(module: Module) -> Iterator[Finding]:
    """Connects, Ray's and ours, that importing the module makes."""
    names, source = module.names, module.source
    if module.is_test or module.is_notebook:
        return
    if not _places.is_library(names, module.path, source.text):
        return
    for node in names.nodes:
        if not (isinstance(node, ast.Call) and _places.is_connect(names, node)):
            continue
        if _places.is_at_import(names, node):
            yield Finding("RAY201", f"`{ast.unparse(node.func)}`", source.span(node))


def helpers(module: Module, inits: list[ast.Call]) -> Iterator[tuple[str, Finding]]:
    """Functions that look like a helper to connect, by their name and their body."""
    if module.is_test or module.is_notebook:
        return
    for function in {module.names.function(call) for call in inits}:
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        name = function.name.lower()
        if name in _CONNECT_NAMES or ("ray" in name and _VERBS.search(name)):
            yield function.name, Finding("RAY401", f"`{function.name}`", _head(module, function))


def _head(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Span:
    """The line of a ``def``: a comment far below suppresses something else."""
    start = module.source.bounds(function)[0]
    end = module.source.line_start(module.source.line_of(start)) + len(
        module.source.line(module.source.line_of(start))
    )
    return module.source.span_of(start, end)


def patches(module: Module) -> Iterator[Finding]:
    """Places where a test replaces a function of Ray, or asks whether it was called."""
    for node in module.names.nodes:
        if isinstance(node, ast.Call):
            shown = _patch(module.names, node)
        elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            meaning = module.names.meaning(node)
            shown = f"`{meaning}` is assigned" if _PATCHED.search(meaning) else ""
        else:
            continue
        if shown:
            yield Finding("RAY502", shown, module.source.span(node))


def _patch(names: Names, call: ast.Call) -> str:
    function = call.func
    called = getattr(function, "attr", getattr(function, "id", ""))
    if called.startswith("assert_") and isinstance(function, ast.Attribute):
        return _asserted(function)
    if called not in ("patch", "setattr", "object", "delattr") or not call.args:
        return ""
    first = call.args[0]
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        return f"it replaces `{first.value}`" if _PATCHED.search(first.value) else ""
    if len(call.args) > 1 and isinstance(call.args[1], ast.Constant):
        whole = names.meaning(first)
        is_ray = whole == "ray" or (isinstance(first, ast.Attribute) and first.attr == "ray")
        if is_ray and call.args[1].value in _FUNCTIONS:
            return f"it replaces `ray.{call.args[1].value}`"
    return ""


def _asserted(function: ast.Attribute) -> str:
    """``mock_ray.init.assert_called_once()`` and the like."""
    asked = function.value
    if isinstance(asked, ast.Attribute) and asked.attr in _FUNCTIONS:
        holder = getattr(asked.value, "attr", getattr(asked.value, "id", ""))
        if "ray" in holder.lower():
            return f"it asserts calls of `{ast.unparse(asked)}`"
    return ""
