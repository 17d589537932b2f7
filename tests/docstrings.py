"""``make stubs``: what ``_core.pyi`` and the built module say of a name, where stubtest sees types.

A public name has its docstring in the stub, too, where editors and the site's reference find it; an
internal one is explained in Rust alone. ``--write`` puts into the stub what the built module says.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

STUB = Path(__file__).parents[1] / "python/seedcore_ray/_core.pyi"
_WIDTH = 100
_Declared = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def main() -> int:
    """Compare, or write. 1 where the two say different things."""
    parser = argparse.ArgumentParser(description="the docstrings of _core.pyi and of its module")
    parser.add_argument("--write", action="store_true", help="take over those of the module")
    options = parser.parse_args()
    from seedcore_ray import _core

    wanted = written(STUB.read_text(), _core, public_names())
    if options.write:
        STUB.write_text(wanted)
        return 0
    found = differences(STUB.read_text(), wanted)
    print("\n".join(found) or "the docstrings of the stub are those of the module")
    return int(bool(found))


def public_names() -> set[str]:
    """Of the module, what users can import from somewhere."""
    import seedcore_ray
    from seedcore_ray._facades import ray_connector, ray_utils

    return {*seedcore_ray.__all__, *ray_connector.__all__, *ray_utils.__all__}


def differences(stub: str, wanted: str) -> list[str]:
    """A line for each name that two stubs explain differently."""
    ours, theirs = (dict(_explained(text)) for text in (stub, wanted))
    return [
        f"{name}: the stub says {ours[name]!r}, it should be {theirs[name]!r}"
        for name in ours
        if _words(ours[name]) != _words(theirs[name])
    ]


def written(stub: str, module: ModuleType, public: set[str]) -> str:
    """The stub with the module's words for what is public, and no others."""
    lines = stub.splitlines()
    for name, node in reversed([*_declared(ast.parse(stub).body)]):
        owner, _, member = name.partition(".")
        said = None
        if owner in public and not member.startswith("_"):
            said = inspect.getdoc(_found(module, name)) or ""
        if _words(said) != _words(ast.get_docstring(node)):
            _replace(lines, node, said)
    return "\n".join(lines) + "\n"


def _explained(stub: str) -> Iterator[tuple[str, str | None]]:
    for name, node in _declared(ast.parse(stub).body):
        yield name, ast.get_docstring(node)


def _declared(body: list[ast.stmt], owner: str = "") -> Iterator[tuple[str, _Declared]]:
    for node in body:
        if isinstance(node, _Declared) and not _is_left_out(node):
            yield owner + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from _declared(node.body, f"{node.name}.")


def _is_left_out(node: _Declared) -> bool:
    """Special methods are explained by Python, overloads by one of their kind."""
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    is_overload = "overload" in decorators and ast.get_docstring(node) is None
    return node.name.startswith("__") or is_overload


def _found(module: ModuleType, name: str) -> Any:
    found: Any = module
    for part in name.split("."):
        found = inspect.getattr_static(found, part)
    return found


def _words(text: str | None) -> list[str]:
    return (text or "").split()


def _replace(lines: list[str], node: _Declared, said: str | None) -> None:
    first = node.body[0]
    indent = " " * (node.col_offset + 4)
    new = _quoted(said, indent) if said else []
    if ast.get_docstring(node) is not None:
        is_all = len(node.body) == 1
        lines[first.lineno - 1 : first.end_lineno] = new or [f"{indent}..."] * is_all
    elif not _is_dots(first):
        lines[first.lineno - 1 : first.lineno - 1] = new
    elif lines[first.lineno - 1].endswith(": ..."):
        lines[first.lineno - 1] = lines[first.lineno - 1].removesuffix(" ...")
        lines[first.lineno : first.lineno] = new
    else:
        lines[first.lineno - 1 : first.end_lineno] = new


def _quoted(text: str, indent: str) -> list[str]:
    # The module's lines fit as they are, but for the one that gets the quotes.
    first, _, rest = text.partition("\n\n")
    quoted = f'{indent}"""{" ".join(first.split())}'
    if not rest and len(quoted) + 3 <= _WIDTH:
        return [f'{quoted}"""']
    lines = textwrap.wrap(quoted, _WIDTH, subsequent_indent=indent)
    if rest:
        lines += ["", *textwrap.indent(rest.rstrip(), indent).splitlines()]
    return [*lines, f'{indent}"""']


def _is_dots(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and (node.value.value is ...)
    )


if __name__ == "__main__":
    sys.exit(main())
