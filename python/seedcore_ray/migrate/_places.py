"""Where a call stands: what surrounds it, and what becomes of its result."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from seedcore_ray.migrate._names import FUNCTIONS, Names

INIT = "ray.init"
INITS = frozenset({INIT})
_CONNECTS = {
    INIT,
    "seedcore_ray.connect",
    "seedcore_ray.connect_async",
    "seedcore_ray.ensure_ray_initialized",
    "seedcore_ray.ensure_ray_initialized_async",
    "seedcore.utils.ray_connector.connect",
    "seedcore.utils.ray_utils.ensure_ray_initialized",
    "seedcore.utils.ray_utils.ensure_ray_initialized_async",
}
_CATCHES_OURS = {"Exception", "BaseException", "ConnectionError", "OSError", "RayConnectionError"}
# Caught around `ray.init` for what stands beside it.
_NOT_FROM_INIT = {"ImportError", "ModuleNotFoundError", "KeyboardInterrupt", "SystemExit"}
_RETRY = re.compile(r"retry|retrying|backoff|tenacity", re.IGNORECASE)
_TEST_FILE = re.compile(r"(^|/)(tests?/|test_[^/]*\.py$|[^/]*_test\.py$|conftest\.py$)")


def is_test(path: str) -> bool:
    """Whether a file belongs to tests, by its path."""
    return _TEST_FILE.search(path.replace("\\", "/")) is not None


def is_connect(names: Names, node: ast.AST) -> bool:
    """Whether a node is a call that connects: Ray's or ours."""
    if not isinstance(node, ast.Call):
        return False
    return names.is_one_of(node.func, _CONNECTS)


def is_ours(names: Names, node: ast.AST) -> bool:
    """Whether it is a call of ours that connects."""
    return is_connect(names, node) and names.meaning(getattr(node, "func", node)) != INIT


def within(names: Names, node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    """The ancestors up to the function or the module that evaluates the node, nearest first."""
    for parent, child in names.ancestors(node):
        if isinstance(parent, (*FUNCTIONS, ast.ClassDef)) and names.scope(child) is not (
            names.scope(parent)
        ):
            return
        yield parent, child


def calls_in(names: Names, statements: list[ast.stmt]) -> Iterator[ast.AST]:
    """The calls in statements that connect, without those in functions defined there."""
    waiting: list[ast.AST] = list(statements)
    while waiting:
        node = waiting.pop()
        if is_connect(names, node):
            yield node
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)


def use_of_result(names: Names, call: ast.Call) -> str:
    """What is done with the result; empty when it is dropped."""
    parent = names.parents[call]
    if isinstance(parent, ast.Expr):
        return ""
    if isinstance(parent, ast.Assign) and len(parent.targets) == 1:
        target = parent.targets[0]
        if isinstance(target, ast.Name) and _is_never_read(names, target):
            return ""
    uses = {
        ast.withitem: "`with` ends the connection that it gives",
        ast.Return: "it is returned",
        ast.Await: "it is awaited",
        ast.Lambda: "a lambda returns it",
    }
    for kind, words in uses.items():
        if isinstance(parent, kind):
            return words
    return "its context is used"


def _is_never_read(names: Names, target: ast.Name) -> bool:
    function = names.function(target)
    if function is None or target.id in names.scope(target).elsewhere:
        return target.id == "_"
    return not any(
        isinstance(node, ast.Name) and node.id == target.id and isinstance(node.ctx, ast.Load)
        for node in ast.walk(function)
    )


def repetition(names: Names, call: ast.Call) -> str:
    """What repeats or replaces the call: a loop, a retry, a fallback; empty for nothing."""
    for parent, child in within(names, call):
        if isinstance(parent, (ast.For, ast.AsyncFor, ast.While)) and child in parent.body:
            return "a loop repeats it"
        if isinstance(parent, ast.Try):
            handlers = [statement for handler in parent.handlers for statement in handler.body]
            if child in parent.body and any(calls_in(names, handlers)):
                return "another connect follows when it fails"
            if child in parent.handlers and any(calls_in(names, parent.body)):
                return "it follows another connect that failed"
    function = names.function(call)
    for decorator in getattr(function, "decorator_list", ()):
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        if _RETRY.search(ast.unparse(called)):
            return f"`@{ast.unparse(called)}` repeats it"
    return ""


def uncaught(names: Names, call: ast.Call) -> str:
    """Why what surrounds the call would not catch our error; empty if it would, or nothing does."""
    for parent, child in within(names, call):
        if isinstance(parent, ast.Try) and child in parent.body and parent.handlers:
            types = [handler.type for handler in parent.handlers]
            if all(kind is not None and _is_unrelated(kind) for kind in types):
                continue
            if not any(kind is None or _caught(kind) for kind in types):
                shown = ", ".join(ast.unparse(kind) for kind in types if kind is not None)
                return f"`except {shown}` does not catch a RayConnectionError"
            return ""
        if isinstance(parent, ast.With):
            for item in parent.items:
                if why := _not_suppressed(item.context_expr):
                    return why
    return ""


def _not_suppressed(manager: ast.expr) -> str:
    if not isinstance(manager, ast.Call):
        return ""
    name = ast.unparse(manager.func)
    if name.endswith("suppress") and not any(map(_caught, manager.args)):
        return f"`{ast.unparse(manager)}` does not suppress a RayConnectionError"
    if name.endswith("raises"):
        return f"`{ast.unparse(manager)}` expects Ray's own error"
    return ""


def _caught(kind: ast.expr) -> bool:
    return any(name in _CATCHES_OURS for name in _classes(kind))


def _is_unrelated(kind: ast.expr) -> bool:
    return all(name in _NOT_FROM_INIT for name in _classes(kind))


def _classes(kind: ast.expr) -> list[str]:
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return [ast.unparse(one).rpartition(".")[2] for one in kinds]


def follows_shutdown(names: Names, call: ast.Call) -> bool:
    """Whether the statement before it is ``ray.shutdown()``, or an ``if`` with it."""
    statement = names.statement(call)
    while isinstance(outer := names.parents[statement], ast.If) and outer.body[0] is statement:
        statement = outer
    for _, value in ast.iter_fields(names.parents[statement]):
        if isinstance(value, list) and statement in value:
            before = value[: value.index(statement)][-1:]
            return any(
                isinstance(node, ast.Call) and names.meaning(node.func) == "ray.shutdown"
                for one in before
                for node in ast.walk(one)
            )
    return False


def is_async(names: Names, call: ast.Call) -> bool:
    """Whether an event loop runs it."""
    return isinstance(names.function(call), ast.AsyncFunctionDef)


def is_at_import(names: Names, call: ast.AST) -> bool:
    """Whether importing the module runs it."""
    if names.function(call) is not None:
        return False
    for parent, child in names.ancestors(call):
        if (
            isinstance(parent, ast.If)
            and child in parent.body
            and "__name__" in ast.unparse(parent.test)
        ):
            return False
    return True


def is_library(names: Names, path: str, text: bytes) -> bool:
    """Whether others import the module: it defines something, and is nobody's script."""
    name = path.replace("\\", "/").rpartition("/")[2]
    if text.startswith(b"#!") or name in ("__main__.py", "setup.py", "manage.py"):
        return False
    tree = names.module.node
    assert isinstance(tree, ast.Module)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(statement, kinds) for statement in tree.body)
