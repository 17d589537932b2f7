"""Runs examples, each in a fork of this process: the imports, which take long, are done once.

A program for ``tests.support``: its argument is the JSON of a list of examples, and an example is a
list of ``[place, source, exception]``, blocks that go on from one another. A fork of a process that
has not connected can do all that a new one can.
"""

import ast
import asyncio
import inspect
import json
import os
import re
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray  # noqa: F401

import seedcore_ray  # noqa: F401

if TYPE_CHECKING:

    def report(**fields: object) -> None:
        """Given to every program."""


# Connecting and leaving is more waiting than work.
AT_ONCE = 4

Example = list[tuple[str, str, str]]


def main(examples: list[Example]) -> None:
    """Report the exit code of each example, by the place of its first block."""
    running: dict[int, str] = {}
    for example in examples:
        if len(running) == AT_ONCE:
            reap(running)
        child = os.fork()
        if not child:
            sys.exit(run(example))
        running[child] = example[0][0]
    while running:
        reap(running)


def reap(running: dict[int, str]) -> None:
    """Wait for one of them."""
    child, status = os.wait()
    report(**{running.pop(child): os.waitstatus_to_exitcode(status)})


def run(example: Example) -> int:
    """0 when all of its blocks did what they are said to do."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for place, source, exception in example:
        raised = carry_out(place, source, names)
        if raised != exception:
            print(f"{place}: {raised or 'nothing'} was raised, not {exception or 'nothing'}")
            return 1
    ask(names.values())
    return 0


def carry_out(place: str, source: str, names: dict[str, Any]) -> str:
    """The name of the exception with which that block ended, or nothing."""
    # Tracebacks show it, and Ray looks up the source of remote functions.
    file = Path(re.sub(r"\W", "_", place) + ".py")
    file.write_text(source)
    try:
        if has_tests(source):
            return run_tests(file, source)
        # `await` may stand at the top level.
        code = compile(source, str(file), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        awaited = eval(code, names)
        if inspect.iscoroutine(awaited):
            asyncio.run(awaited)
    except BaseException as error:
        traceback.print_exc()
        return type(error).__name__
    return ""


def has_tests(source: str) -> bool:
    """Whether it is a file of tests."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = (node.name for node in ast.parse(source).body if isinstance(node, functions))
    return any(name.startswith("test_") for name in found)


def run_tests(file: Path, source: str) -> str:
    """Have pytest run it, on the cluster that is there unless it says how to make one."""
    import pytest

    options = ["-q", "-p", "no:cacheprovider"]
    if "ray_head_options" not in source:
        options.append(f"--seedcore-ray-address={os.environ['RAY_ADDRESS']}")
    code = pytest.main([*options, str(file)])
    return "" if code == pytest.ExitCode.OK else f"pytest's {code!r}"


def ask(values: Iterable[object]) -> None:
    """Ask each service among them for whatever takes no argument."""
    if "fastapi" not in sys.modules:
        return
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    for app in values:
        if not isinstance(app, FastAPI):
            continue
        with TestClient(app) as client:
            for path in (str(getattr(route, "path", "{")) for route in app.routes):
                if "{" not in path:
                    status = client.get(path).status_code
                    assert status in (200, 405, 503), f"{path}: {status}"


main(json.loads(sys.argv[1]))
