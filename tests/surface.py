"""What callers hold on to, as one text: ``tests/surface.txt``, which a release promises to keep.

``python tests/surface.py --write`` writes it anew (``make surface``). Python's names come from the
modules themselves, kinds, states, events, loggers and metrics from the tables that ``test_docs``
compares with the code.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RECORD = Path(__file__).with_name("surface.txt")
MODULES = (
    "seedcore.utils.ray_utils",
    "seedcore.utils.ray_connector",
    "seedcore_ray",
    "seedcore_ray.fastapi",
    "seedcore_ray.metrics",
    "seedcore_ray.testing",
)
COMMANDS = ("doctor", "wait", "health", "which", "config", "migrate")
# Its section, the document, and what a row of the table there begins with.
TABLES = (
    ("exit codes and kinds", "docs/cli.md", r"\| (\d+ \| `\w+`) \|"),
    ("states and events", "docs/states.md", r"\| `(\w+)` \|"),
    ("loggers", "docs/operations.md", r"\| `(seedcore_ray\.\w+)` \|"),
    ("metrics", "docs/metrics.md", r"\| `(seedcore_ray_\w+` \| \w+ \| [^|]*?) \|"),
    ("codes of migrate", "docs/migrate.md", r"### (RAY\d+)"),
)


def surface() -> str:
    """All of it, a line for each name."""
    lines = []
    for name in MODULES:
        lines += [f"[{name}]", *_module(name), ""]
    lines += ["[commands]", *_commands(), "", "[settings]", *_settings(), ""]
    for title, page, row in TABLES:
        found = re.findall(f"(?m)^{row}", (ROOT / page).read_text())
        lines += [f"[{title}]", *(entry.replace("`", "") for entry in found), ""]
    # A default of RayHead's: the interpreter that runs this.
    return "\n".join(lines).replace(repr(sys.executable), "sys.executable")


def _module(name: str) -> Iterator[str]:
    module = import_module(name)
    for public in sorted(module.__all__):
        yield from _entry(public, getattr(module, public))


def _entry(name: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__)
        yield f"{name}({bases})" if bases != "object" else name
        members = {
            member: attribute
            for base in reversed(value.__mro__)
            if base.__module__.startswith(("seedcore", "_seedcore", "builtins"))
            and base.__module__ != "builtins"
            for member, attribute in vars(base).items()
            if not member.startswith("_") or member == "__init__"
        }
        if issubclass(value, Enum):
            members = dict.fromkeys(value.__members__)
        for member in sorted(members):
            yield f"    {_member(member, members[member])}"
    elif callable(value):
        yield f"{_kind(value)}{name}{_signature(value)}"
    elif inspect.ismodule(value):
        yield f"{name}: module"
    else:
        yield f"{name}: {type(value).__name__}"


def _member(name: str, attribute: Any) -> str:
    plain = getattr(attribute, "__func__", attribute)
    if callable(plain):
        return f"{_kind(plain)}{name}{_signature(plain)}"
    return name


def _kind(function: Any) -> str:
    return "async " if inspect.iscoroutinefunction(function) else ""


def _signature(function: Any) -> str:
    """Names, kinds and defaults of the arguments; annotations may become more exact."""
    try:
        signature = inspect.signature(function)
    except ValueError:
        return "(...)"
    parameters = [
        parameter.replace(annotation=parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name not in ("self", "cls")
    ]
    return str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


def _commands() -> Iterator[str]:
    for command in COMMANDS:
        said = _run(command, "--help").partition("\n\n")[0]
        options = re.findall(r"(?<=[\[ |])--?[a-z][\w-]*", said.partition(command)[2])
        yield " ".join([command, *sorted(set(options))])


def _settings() -> Iterator[str]:
    for setting in json.loads(_run("config", "--json"))["settings"]:
        yield f"{', '.join(setting['variables'])} = {setting['value']}"


def _run(*words: str) -> str:
    """What the command prints with no setting but its defaults."""
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "COLUMNS": "80"}
    command = [sys.executable, "-m", "seedcore_ray", *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


def main() -> None:
    """Print it, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    text = surface()
    if parser.parse_args().write:
        RECORD.write_text(text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
