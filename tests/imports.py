"""``make lint``: the imports of the Python package point down, and run in no circle.

``python tests/imports.py`` holds the package to the contracts in ``pyproject.toml`` (import-linter)
and looks for circles among single files, where import-linter sees those among siblings. ``--draw``
writes the picture in ``ARCHITECTURE.md``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python/seedcore_ray"
PICTURE = ROOT / "ARCHITECTURE.md"
_LINT = """
import sys
from importlinter.cli import lint_imports
sys.exit(lint_imports(sys.argv[1], no_cache=True, no_logo=True))
"""
_BEGIN, _END = "<!-- package:begin -->\n", "<!-- package:end -->"

Edges = Mapping[str, set[str]]


def main() -> int:
    """Check, or draw."""
    parser = argparse.ArgumentParser(description="the imports of the Python package")
    parser.add_argument("--draw", action="store_true", help=f"only draw them in {PICTURE.name}")
    if parser.parse_args().draw:
        PICTURE.write_text(drawn())
        return 0
    return lint(PACKAGE)


def lint(package: Path) -> int:
    """Print what import-linter says, and a circle among files. 1 where something is wrong."""
    with _with_stub_as_module(package) as folder:
        command = [sys.executable, "-c", _LINT, str(ROOT / "pyproject.toml")]
        linted = subprocess.run(command, cwd=folder, env=_first_on_path(folder))
        circle = _circle(_imports(folder))
    if circle:
        print("these files import each other in a circle:", " -> ".join(circle))
    return int(linted.returncode != 0 or circle is not None)


def drawn() -> str:
    """``ARCHITECTURE.md`` with the imports as they are."""
    with _with_stub_as_module(PACKAGE) as folder:
        imports = _imports(folder)
    rooms: dict[str, set[str]] = {}
    for name, targets in imports.items():
        rooms.setdefault(_room(name), set()).update(map(_room, targets))
    before, rest = PICTURE.read_text().split(_BEGIN)
    return before + _BEGIN + _mermaid(rooms) + _END + rest.split(_END)[1]


@contextmanager
def _with_stub_as_module(package: Path) -> Iterator[Path]:
    """A folder with a copy of the package in which ``_core`` is a module.

    grimp knows no extension modules: to it, ``from seedcore_ray import _core`` would import all of
    the package.
    """
    with tempfile.TemporaryDirectory(prefix="sri-") as folder:
        copy = Path(folder) / package.name
        shutil.copytree(package, copy, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        (copy / "_core.pyi").rename(copy / "_core.py")
        yield Path(folder)


def _first_on_path(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def _imports(folder: Path) -> dict[str, set[str]]:
    # grimp finds the package where Python would; one that is imported already is not looked for.
    sys.path.insert(0, str(folder))
    known = {name: sys.modules.pop(name) for name in [*sys.modules] if _is_ours(name)}
    try:
        graph = grimp.build_graph(PACKAGE.name, cache_dir=None)
    finally:
        sys.path.remove(str(folder))
        sys.modules.update(known)
    return {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}


def _is_ours(name: str) -> bool:
    return name.split(".")[0] == PACKAGE.name


def _circle(imports: Edges) -> list[str] | None:
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle[::-1]
    return None


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def _mermaid(edges: Edges) -> str:
    """What each stands on, without what follows from the rest."""
    lines = ["```mermaid", "flowchart TD"]
    for name in sorted(edges):
        others = edges[name] - {name}
        below = {far for near in others for far in _reachable(edges, near) - {near}}
        lines += [f"    {name} --> {target}" for target in sorted(others - below)]
        if not others and not any(name in targets for targets in edges.values()):
            lines.append(f"    {name}")
    return "\n".join([*lines, "```"]) + "\n"


def _reachable(edges: Edges, start: str) -> set[str]:
    seen: set[str] = set()
    left = [start]
    while left:
        seen.add(name := left.pop())
        left += edges[name] - seen
    return seen


if __name__ == "__main__":
    sys.exit(main())
