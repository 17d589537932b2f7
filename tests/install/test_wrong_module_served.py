"""Failure mode: in some host situation an import reaches the host's old module, or nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from . import hosts
from .environments import Build, Environment


@dataclass(frozen=True)
class Situation:
    """What is installed in which order, what is on PYTHONPATH, and how much host there is."""

    steps: tuple[str, ...] = ("ours",)
    on_path: Callable[[Path], Path] | None = None
    has_package: bool = True
    has_utils: bool = True


SITUATIONS = {
    "no host": Situation(has_package=False, has_utils=False),
    "on PYTHONPATH": Situation(on_path=hosts.package),
    "on PYTHONPATH, namespace package": Situation(
        on_path=hosts.namespace_package, has_package=False
    ),
    "on PYTHONPATH, without utils": Situation(on_path=hosts.package_without_utils, has_utils=False),
    "on PYTHONPATH, zipped": Situation(on_path=hosts.zipped),
    "installed after": Situation(("ours", "host")),
    "installed before": Situation(("host", "ours")),
    "editable src after": Situation(("ours", "editable src")),
    "editable src before": Situation(("editable src", "ours")),
    "editable flat after": Situation(("ours", "editable flat")),
    "editable flat before": Situation(("editable flat", "ours")),
    "editable src strict after": Situation(("ours", "editable src strict")),
    "editable src strict before": Situation(("editable src strict", "ours")),
    "editable flat strict after": Situation(("ours", "editable flat strict")),
    "editable flat strict before": Situation(("editable flat strict", "ours")),
}

REPORT = """
import json
import seedcore, seedcore.utils
from seedcore.utils import ray_connector, ray_utils

report = {
    "files": {m.__name__: m.__spec__.origin for m in (ray_utils, ray_connector)},
    "package": getattr(seedcore, "OWNER", None),
    "utils": getattr(seedcore.utils, "OWNER", None),
}
try:
    import seedcore.utils.other as other
    report["other"] = other.OWNER
except ImportError:
    report["other"] = None
try:
    import seedcore.agents.worker as worker
    found = {worker.absolute, worker.relative, ray_utils.ensure_ray_initialized}
    report["callers"] = len(found) == 1 and worker.ray_connector is ray_connector
except ImportError:
    report["callers"] = None
print(json.dumps(report))
"""


@dataclass(frozen=True)
class Case:
    """A situation, set up."""

    situation: Situation
    environment: Environment
    variables: dict[str, str]
    report: dict[str, Any]


@pytest.fixture(scope="module", params=SITUATIONS)
def case(
    request: pytest.FixtureRequest, build: Build, tmp_path_factory: pytest.TempPathFactory
) -> Case:
    """Each situation in turn."""
    situation = SITUATIONS[request.param]
    variables = {}
    if situation.on_path is not None:
        folder = tmp_path_factory.mktemp("host") / "folder"
        variables["PYTHONPATH"] = str(situation.on_path(folder))
    environment = build(*situation.steps)
    report = environment.says(REPORT, variables=variables)
    return Case(situation, environment, variables, report)


def test_both_modules_are_ours(case: Case) -> None:
    facades = case.environment.site / "seedcore_ray/_facades"
    assert case.report["files"] == {
        "seedcore.utils.ray_utils": str(facades / "ray_utils.py"),
        "seedcore.utils.ray_connector": str(facades / "ray_connector.py"),
    }


def test_the_host_keeps_its_packages_and_their_init_runs(case: Case) -> None:
    situation = case.situation
    assert case.report["package"] == ("host" if situation.has_package else None)
    assert case.report["utils"] == ("host" if situation.has_utils else None)
    assert case.report["other"] == ("host" if situation.has_utils else None)


def test_absolute_and_relative_imports_of_the_host_reach_ours(case: Case) -> None:
    no_host = case.situation.steps == ("ours",) and case.situation.on_path is None
    assert case.report["callers"] is (None if no_host else True)


def test_which_says_so(case: Case) -> None:
    code, text = case.environment.which(variables=case.variables)
    assert code == 0, text
    for file in case.report["files"].values():
        assert file in text
    assert "active" in text
