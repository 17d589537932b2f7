"""Scopes and what their names stand for: which call is ``ray.init``, whatever it is called here."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Set

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# Nothing asks for these, and they are most of a tree. The parser has one object for all `Load`s.
_LEAVES = frozenset(
    {ast.Load, ast.Store, ast.Del, ast.Constant, ast.alias}.union(
        *(kind.__subclasses__() for kind in (ast.boolop, ast.operator, ast.unaryop, ast.cmpop))
    )
)
_KEPT = frozenset({ast.Call, ast.If, ast.Name, ast.Attribute})
_SCOPED = frozenset({*FUNCTIONS, ast.ClassDef, *_COMPREHENSIONS})
# What these return for a constant name is the module itself.
_IMPORTERS = ("import_module", "importorskip", "__import__")

UNKNOWN = "?"
"""What a name stands for that is bound to something other than an import, or to several."""


class Scope:
    """A module, class, function or comprehension, and the names that are bound in it."""

    def __init__(self, node: ast.AST, outer: Scope | None) -> None:
        self.node = node
        self.outer = outer
        self.bound: dict[str, set[str]] = {}
        # Names that a `global` or `nonlocal` statement hands to an outer scope.
        self.elsewhere: set[str] = set()

    def bind(self, name: str, target: str) -> None:
        """Note what a name is bound to."""
        self.bound.setdefault(name, set()).add(target)


class Names:
    """The scopes of a module, the parent of each node, and the meaning of names."""

    def __init__(self, tree: ast.Module) -> None:
        self.module = Scope(tree, None)
        self.parents: dict[ast.AST, ast.AST] = {}
        self._scopes: dict[ast.AST, Scope] = {}
        self.nodes: list[ast.AST] = []
        """The calls, `if`s, names and attributes, each after its parent."""
        self._binders: list[ast.AST] = []
        self._all_scopes = [self.module]
        # What each name is bound to in any scope: most names are none that anybody looks for.
        self._targets: dict[str, set[str]] = {}
        self._walk(tree)
        for node in self._binders:
            for name, target in _bindings(node, self.parents):
                self._home(node, name).bind(name, target)
                self._targets.setdefault(name, set()).add(target)

    def scope(self, node: ast.AST) -> Scope:
        """The scope in which a node is evaluated."""
        return self._scopes[node]

    def ancestors(self, node: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
        """Each ancestor with the child that the way up goes through, nearest first."""
        while (parent := self.parents.get(node)) is not None:
            yield parent, node
            node = parent

    def statement(self, node: ast.AST) -> ast.stmt:
        """The statement that a node is part of."""
        while not isinstance(node, ast.stmt):
            node = self.parents[node]
        return node

    def function(self, node: ast.AST) -> Function | None:
        """The function whose body a node is evaluated in."""
        scope: Scope | None = self._scopes[node]
        while scope is not None:
            if isinstance(scope.node, FUNCTIONS):
                return scope.node
            scope = scope.outer
        return None

    def meaning(self, node: ast.AST) -> str:
        """The dotted name that an expression stands for; ``UNKNOWN``, or empty for no name."""
        attributes: list[str] = []
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        root = self._look_up(self._scopes[node], node.id)
        return root if root in ("", UNKNOWN) else ".".join([root, *reversed(attributes)])

    def is_one_of(self, node: ast.AST, dotted: Set[str]) -> bool:
        """Whether an expression stands for one of these dotted names."""
        if isinstance(node, ast.Attribute):
            if not any(name.endswith(f".{node.attr}") for name in dotted):
                return False
        elif not isinstance(node, ast.Name) or dotted.isdisjoint(self._targets.get(node.id, ())):
            return False
        return self.meaning(node) in dotted

    def others_bind(self, name: str) -> bool:
        """Whether a name is bound anywhere to anything but the import of that module."""
        return any(scope.bound.get(name, {name}) != {name} for scope in self._all_scopes)

    def _look_up(self, scope: Scope, name: str) -> str:
        start, here = scope, True
        current: Scope | None = scope
        while current is not None:
            visible = here or not isinstance(current.node, ast.ClassDef)
            if visible and name in current.bound and name not in current.elsewhere:
                found = current.bound[name] - {"None"}
                return next(iter(found)) if len(found) == 1 else UNKNOWN
            here = False
            current = current.outer
        stars = self.module.bound.get("*", set())
        return UNKNOWN if stars and start else ""

    def _home(self, node: ast.AST, name: str) -> Scope:
        scope = self._scopes[node]
        return self.module if name in scope.elsewhere else scope

    def _walk(self, tree: ast.Module) -> None:
        waiting: list[tuple[ast.AST, Scope]] = [(tree, self.module)]
        while waiting:
            node, scope = waiting.pop()
            self._scopes[node] = scope
            kind = type(node)
            if kind in _KEPT:
                self.nodes.append(node)
            if kind in _BINDERS:
                self._binders.append(node)
                if isinstance(node, (ast.Global, ast.Nonlocal)):
                    scope.elsewhere.update(node.names)
            if kind is ast.Name:
                continue
            if isinstance(node, ast.Attribute):  # a short cut for what there are most of
                self.parents[node.value] = node
                waiting.append((node.value, scope))
                continue
            if kind in _SCOPED:
                waiting += self._entered(node, scope)
            else:
                waiting += [(child, scope) for child in self._children(node)]

    def _children(self, node: ast.AST) -> list[ast.AST]:
        """The children that somebody may ask for; their parent is noted."""
        found: list[ast.AST] = []
        for name in node._fields:
            value = getattr(node, name, None)
            if type(value) is list:
                found += [one for one in value if isinstance(one, ast.AST)]
            elif isinstance(value, ast.AST):
                found.append(value)
        found = [child for child in found if type(child) not in _LEAVES]
        self.parents.update(dict.fromkeys(found, node))
        return found

    def _entered(self, node: ast.AST, scope: Scope) -> Iterator[tuple[ast.AST, Scope]]:
        """The children of a definition or comprehension, each with its scope.

        Names of parameters are the function's; defaults are evaluated where it is defined.
        """
        inner = Scope(node, scope)
        self._all_scopes.append(inner)
        outside = _outside(node)
        for child in self._children(node):
            if not isinstance(child, ast.arguments):
                yield child, scope if id(child) in outside else inner
                continue
            self._scopes[child] = inner
            for part in self._children(child):
                yield part, inner if isinstance(part, ast.arg) else scope


def _outside(node: ast.AST) -> set[int]:
    """The children of a definition that are evaluated where it stands."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return {id(child) for child in (*node.decorator_list, node.returns)}
    if isinstance(node, ast.ClassDef):
        keywords = (*node.decorator_list, *node.bases, *node.keywords)
        return {id(child) for child in keywords}
    return set()


_BINDERS = frozenset(
    {
        *(ast.Import, ast.ImportFrom, ast.Name, ast.FunctionDef, ast.AsyncFunctionDef),
        *(ast.ClassDef, ast.arg, ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.MatchMapping),
        *(ast.Global, ast.Nonlocal),
    }
)


def _bindings(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> Iterator[tuple[str, str]]:
    """The names that a node binds in its scope, each with what it stands for."""
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            yield node.id, _assigned(node, parents)
    elif isinstance(node, ast.Import):
        for alias in node.names:
            first = alias.name.partition(".")[0]
            yield (alias.asname, alias.name) if alias.asname else (first, first)
    elif isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        for alias in node.names:
            if alias.name != "*" or module == "ray":
                yield alias.asname or alias.name, f"{module}.{alias.name}"
    elif isinstance(node, ast.arg):
        yield node.arg, UNKNOWN
    elif name := getattr(node, "rest", None) or getattr(node, "name", None):
        yield name, UNKNOWN  # a definition, a handler, a pattern


def _assigned(node: ast.Name, parents: dict[ast.AST, ast.AST]) -> str:
    """What a name is assigned: a module by its name, None, or anything."""
    statement = parents[node]
    if isinstance(statement, (ast.Assign, ast.AnnAssign)):
        value = statement.value
        if isinstance(value, ast.Constant) and value.value is None:
            return "None"
        if isinstance(value, ast.Call) and value.args:
            function, name = value.func, value.args[0]
            called = getattr(function, "attr", getattr(function, "id", ""))
            if called in _IMPORTERS and isinstance(name, ast.Constant):
                return str(name.value)
    return UNKNOWN
