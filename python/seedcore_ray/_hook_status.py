"""Which file serves each drop-in module, found without running a line of the host's code.

``importlib.util.find_spec`` would import the host's packages to search inside them. Here the
finders are asked the way the import system asks them, parents first, and only their answers are
followed. A package that changes its own ``__path__`` while it is imported is therefore seen without
that change.
"""

import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from os import environ
from pathlib import Path

NAMES = ("seedcore.utils.ray_utils", "seedcore.utils.ray_connector")

_HOOK = "_seedcore_ray_hook"
_SWITCH = "SEEDCORE_RAY_IMPORT_HOOK"
_FACADES = Path(__file__).parent / "_facades"
_REINSTALL = "reinstall seedcore-ray (pip install --force-reinstall --no-deps seedcore-ray)"


def servers() -> dict[str, str | None]:
    """The file that serves each of the two modules; None where an import would fail."""
    return {name: _server(name) for name in NAMES}


def rows(served: Mapping[str, str | None]) -> list[tuple[str, str]]:
    """What ``servers`` found and the state of the hook, as rows of a table."""
    modules = [(name, file or "nobody") for name, file in served.items()]
    return [*modules, ("import hook", hook_state())]


def hook_state() -> str:
    """The import hook in this interpreter, in a few words."""
    if switched_off():
        return f"switched off ({_SWITCH}=0)"
    return "active" if _hook_active() else "not active"


def hook_in_force() -> bool:
    """Whether an import of the two names reaches our files."""
    return _hook_active() and not switched_off()


def problem(served: Mapping[str, str | None]) -> str | None:
    """Why not every module of ``served`` is ours and what to do, in a sentence; None when all are.

    With several causes, the one that has to be removed first.
    """
    foreign = [name for name, file in served.items() if not _is_facade(name, file)]
    if not foreign:
        return None
    missing = [name for name in foreign if not _facade(name).is_file()]
    imported = [name for name in foreign if name in sys.modules]
    if missing:
        return f"the file {_facade(missing[0])} is missing; {_REINSTALL}."
    if switched_off():
        return f"{_SWITCH}=0 switches the import hook off; unset it."
    if imported:
        return (
            f"{imported[0]} was imported before the import hook was there; make"
            f" `import {_HOOK}` the first thing that the program runs."
        )
    if not _hook_active():
        return _why_inactive()
    return "another import hook answers first; have it leave these two names alone."


def _why_inactive() -> str:
    if _find(_HOOK, None) is None:
        return f"the import hook, {_HOOK}.py, is not installed; {_REINSTALL}."
    by_hand = f"make `import {_HOOK}` the first line of the program"
    if sys.flags.no_site:
        return f"Python was started with -S, which runs no .pth file; leave it out, or {by_hand}."
    return (
        "seedcore_ray_hook.pth did not run, as Python runs .pth files only in site-packages folders"
        f" (not after pip install --target, on PYTHONPATH or in a zipapp); {by_hand}."
    )


def _hook_active() -> bool:
    return any(
        type(finder).__module__ == _HOOK and type(finder).__qualname__ == "FacadeFinder"
        for finder in sys.meta_path
    )


def switched_off() -> bool:
    """Whether the environment asks for the host's own modules."""
    # The hook has this function too, but may be missing.
    return environ.get(_SWITCH, "").strip() == "0"


def _facade(name: str) -> Path:
    return _FACADES / f"{name.rpartition('.')[2]}.py"


def _is_facade(name: str, file: str | None) -> bool:
    return file is not None and Path(file).resolve() == _facade(name).resolve()


def _server(name: str) -> str | None:
    module = sys.modules.get(name)
    if module is not None:
        return getattr(module, "__file__", None)
    path: list[str] | None = None
    spec: ModuleSpec | None = None
    parents = name.split(".")
    for depth in range(1, len(parents) + 1):
        spec = _find(".".join(parents[:depth]), path)
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or ())
    return spec.origin if spec is not None and spec.has_location else None


def _find(name: str, path: list[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        find_spec = getattr(finder, "find_spec", None)
        spec: ModuleSpec | None = find_spec and find_spec(name, path)
        if spec is not None:
            return spec
    return None
