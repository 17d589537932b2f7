"""``import seedcore_ray``, where a reader and isort expect it."""

from __future__ import annotations

import ast

from seedcore_ray.migrate._model import Edit
from seedcore_ray.migrate._source import Source

NAME = "seedcore_ray"


def is_there(tree: ast.Module, before_line: int) -> bool:
    """Whether the module imports it for all of its code, above that line."""
    return any(
        isinstance(statement, ast.Import)
        and statement.lineno < before_line
        and any(alias.name == NAME and alias.asname is None for alias in statement.names)
        for statement in tree.body
    )


def added(source: Source, before: int) -> Edit:
    """The edit that adds the import at module level, above what uses it first.

    It goes behind ``import ray`` where that is among the imports the file begins with, else behind
    them all: never into a ``try``, and never above a docstring or ``from __future__``.
    """
    edit = _among_the_imports(source)
    if edit.start <= before:
        return edit
    at = source.line_start(source.line_of(before))  # `import ray; ray.init()`
    return Edit(at, at, b"import seedcore_ray" + source.newline)


def _among_the_imports(source: Source) -> Edit:
    body = source.tree.body
    leading = _leading(body)
    if not leading:
        return _first(source, body)
    anchor = _anchor(leading)
    if isinstance(anchor, ast.ImportFrom) and _is_ray(anchor.module):
        at = source.line_start(anchor.lineno)  # plain imports stand above those with `from`
        return Edit(at, at, b"import seedcore_ray" + source.newline)
    line = anchor.end_lineno or anchor.lineno
    # What stands on the same line belongs to it, however many lines it has.
    while same := [one for one in body if one.lineno == line and (one.end_lineno or 0) > line]:
        line = same[-1].end_lineno or line
    at = source.line_start(line + 1)
    newline = source.newline
    begun = b"" if source.text[:at].endswith((b"\n", b"\r")) else newline
    if not isinstance(anchor, ast.Import) and getattr(anchor, "module", None) in (
        None,
        "__future__",
    ):
        begun += newline  # a docstring or `from __future__` stands apart
    return Edit(at, at, begun + b"import seedcore_ray" + newline)


def _leading(body: list[ast.stmt]) -> list[ast.stmt]:
    """The docstring and the imports that a module begins with."""
    found: list[ast.stmt] = []
    for statement in body:
        docstring = not found and isinstance(statement, ast.Expr) and _is_text(statement.value)
        if not docstring and not isinstance(statement, (ast.Import, ast.ImportFrom)):
            break
        found.append(statement)
    return found


def _is_text(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _is_ray(module: str | None) -> bool:
    return (module or "").split(".")[0] == "ray"


def _anchor(leading: list[ast.stmt]) -> ast.stmt:
    """The statement that it follows."""
    own = [one for one in leading if isinstance(one, ast.ImportFrom) and _is_ray(one.module)]
    best = own[0] if own else leading[-1]
    for index, statement in enumerate(leading):
        if isinstance(statement, ast.Import) and _is_ray(statement.names[0].name):
            best = statement
            for follower in leading[index + 1 :]:
                near = follower.lineno == (best.end_lineno or 0) + 1
                if not (near and isinstance(follower, ast.Import)):
                    break
                if follower.names[0].name.lower() > NAME:
                    break
                best = follower
            break
    return best


def _first(source: Source, body: list[ast.stmt]) -> Edit:
    """Above the first statement, below the comments that a file begins with."""
    first = body[0]
    decorators = getattr(first, "decorator_list", None)
    at = source.line_start(min([first.lineno, *(one.lineno for one in decorators or ())]))
    apart = 2 if decorators is None else 3
    return Edit(at, at, b"import seedcore_ray" + source.newline * apart)
