"""A head of the plugin's own: one for each process, and gone with it, however it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seedcore_ray.testing.processes import is_alive
from tests.plugin.conftest import Play
from tests.support import wait_until

# Writes down the head that it has got.
_NOTE = """
import json, os, pathlib

def test_note(ray_head):
    told = {"directory": str(ray_head.directory), "port": ray_head.gcs_port,
            "pids": [process.pid for process in ray_head.processes()]}
    pathlib.Path(f"head-{os.getpid()}.json").write_text(json.dumps(told))
"""


def _heads(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in folder.glob("head-*.json")]


def _gone(head: dict[str, Any]) -> bool:
    return not any(map(is_alive, head["pids"])) and not Path(head["directory"]).exists()


@pytest.mark.soak
def test_two_workers_have_one_each(
    play: Play, pytester: pytest.Pytester, examples: list[str]
) -> None:
    pytest.importorskip("xdist")
    _, with_options = examples
    pytester.makepyfile(with_options + _NOTE)
    play("-n", "2", "--dist", "each").assert_outcomes(passed=4)
    first, second = _heads(pytester.path)
    assert first["directory"] != second["directory"] and first["port"] != second["port"]
    assert first["pids"] and second["pids"]
    assert _gone(first) and _gone(second)


def test_a_run_that_is_killed(play: Play, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(_NOTE + "    os.kill(os.getpid(), 9)\n")
    assert play().ret == -9
    (head,) = _heads(pytester.path)
    wait_until(lambda: _gone(head), 60, "the head's end")
