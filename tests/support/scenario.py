"""Scenarios: programs that may import ``kit`` and know where a head is."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support import Program, ProgramResult, run_program

RAY_VERSION = importlib.metadata.version("ray")
"""Of the Ray under test, which is also the head's: `make matrix` runs several."""

_KIT = {"PYTHONPATH": str(Path(__file__).parent / "in_program")}
_IMPORT = "import os, sys, time, threading\nfrom kit import *\n"


def play(source: str, *args: str, deadline_s: float = 60.0, **env: str) -> dict[str, Any]:
    """Run a program that ends with 0; what it reported."""
    return run(source, *args, deadline_s=deadline_s, env=env).ok().fields


def run(
    source: str,
    *args: str,
    deadline_s: float = 60.0,
    env: Mapping[str, str] | None = None,
    private_pids: bool = False,
) -> ProgramResult:
    """Run a program to its end."""
    return run_program(
        _with_kit(source),
        *args,
        env={**_KIT, **(env or {})},
        deadline_s=deadline_s,
        private_pids=private_pids,
    )


def start(source: str, *args: str, env: Mapping[str, str] | None = None) -> Program:
    """Start a program that the test talks to."""
    return Program(_with_kit(source), *args, env={**_KIT, **(env or {})})


def _with_kit(source: str) -> str:
    # Program dedents what it is given, so the import must have the program's own indent.
    indent = source[: len(source) - len(source.lstrip())].rpartition("\n")[2]
    return "".join(indent + line + "\n" for line in _IMPORT.splitlines()) + source
