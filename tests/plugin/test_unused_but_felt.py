"""A host suite that uses nothing of ours: what it loads, and what it may name as it likes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.plugin.conftest import Play

_LIST_MODULES = """
import json, pathlib, sys

def pytest_sessionfinish():
    pathlib.Path("modules.json").write_text(json.dumps(sorted(sys.modules)))
"""


def test_it_loads_next_to_nothing(play: Play, pytester: pytest.Pytester) -> None:
    def modules(*arguments: str) -> set[str]:
        play(*arguments).assert_outcomes(passed=1)
        names: Any = json.loads((pytester.path / "modules.json").read_text())
        return set(names)

    pytester.makeconftest(_LIST_MODULES)
    pytester.makepyfile("def test_of_the_host(): ...")
    added = modules() - modules("-p", "no:seedcore_ray")
    foreign = {name for name in added if name.partition(".")[0] != "seedcore_ray"}
    assert "seedcore_ray.pytest_plugin" in added and foreign == set()
    assert not any("testing" in name for name in added)
