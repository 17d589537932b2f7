"""``ray.is_initialized()`` as the guard of a connect."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from seedcore_ray.migrate import _places
from seedcore_ray.migrate._names import Names

_ASKS = frozenset({"ray.is_initialized"})


class Guard(NamedTuple):
    """An ``if`` that connects only where nothing is connected."""

    node: ast.If
    connects: tuple[ast.AST, ...]
    """The calls that it guards."""
    detail: str
    """Why it stays, where it does."""

    @property
    def is_removable(self) -> bool:
        """Whether it guards one call and nothing else."""
        return not self.detail


def guards(names: Names) -> Iterator[Guard]:
    """All guards of a module."""
    for node in names.nodes:
        if isinstance(node, ast.If) and _asks(names, node.test):
            if calls := tuple(_places.calls_in(names, node.body)):
                yield Guard(node, calls, _reason_to_stay(names, node, calls))
            elif calls := tuple(_otherwise(names, node)):
                yield Guard(node, calls, "it returns early, or connects in `else`")


def _asks(names: Names, test: ast.AST) -> bool:
    return any(
        isinstance(node, ast.Call) and names.is_one_of(node.func, _ASKS) for node in ast.walk(test)
    )


def _reason_to_stay(names: Names, node: ast.If, calls: tuple[ast.AST, ...]) -> str:
    test = node.test
    plain = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
    if not (plain and isinstance(test.operand, ast.Call)):  # type: ignore[attr-defined]
        return "its condition asks for more"
    if node.orelse:
        return "it has an `else`"
    only = node.body[0]
    value = only.value if isinstance(only, ast.Expr) else None
    if isinstance(value, ast.Await):
        value = value.value
    if len(node.body) > 1 or value is not calls[0]:
        return "it guards more than that call"
    return ""


def _otherwise(names: Names, node: ast.If) -> Iterator[ast.AST]:
    """The connects that run where the condition is false: in ``else``, or after a return."""
    yield from _places.calls_in(names, node.orelse)
    if not isinstance(node.body[-1], ast.Return):
        return
    for _, value in ast.iter_fields(names.parents[node]):
        if isinstance(value, list) and node in value:
            yield from _places.calls_in(names, value[value.index(node) + 1 :])
