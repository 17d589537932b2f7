"""The workflows on GitHub do what the Makefile does, and ask for no more than they need."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
_MAKEFILE = (ROOT / "Makefile").read_text()
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
# What zizmor and actionlint do not know: this repository's own promises.
PINNED = re.compile(r"[\w./-]+@[0-9a-f]{40}")


def _read(path: Path) -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.safe_load(path.read_text())
    return workflow


def _steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_command_is_a_target_of_the_makefile(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", _MAKEFILE, re.M))
    workflow = _read(path)
    for step in _steps(workflow):
        for target in re.findall(r"\bmake ([a-z-]+)", step.get("run", "")):
            assert target in targets, f"{path.name}: make {target}"
    for job in workflow["jobs"].values():
        for target in job.get("strategy", {}).get("matrix", {}).get("target", ()):
            assert target in targets, f"{path.name}: make {target}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_a_target_tells_to_install_first_is_installed(path: Path) -> None:
    """Else the job fails, or leaves out what it is for, and says so where nobody reads it."""
    recipes = re.findall(r"(?ms)^([a-z-]+):[^\n]*\n((?:\t[^\n]*\n|#[^\n]*\n|\n)*)", _MAKEFILE)
    install = re.compile(r"cargo install --locked (?:--features \w+ )?([\w-]+)")
    needed = {target: install.findall(recipe) for target, recipe in recipes}
    assert needed["coverage"] == ["cargo-llvm-cov"] and needed["fuzz"] == ["cargo-fuzz"]
    for name, job in _read(path)["jobs"].items():
        said = "\n".join(step.get("run", "") for step in job["steps"])
        for target in re.findall(r"(?m)^make ([a-z-]+)", said):
            assert set(needed.get(target, ())) <= set(install.findall(said)), f"{path.name}: {name}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_and_permissions_are_asked_for_by_job(path: Path) -> None:
    workflow = _read(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert job["permissions"], f"{path.name}: {name}"
        assert job["timeout-minutes"] <= 360, f"{path.name}: {name}"
    for step in _steps(workflow):
        if "uses" in step:
            assert PINNED.fullmatch(step["uses"]), f"{path.name}: {step['uses']}"


def test_ci_tests_what_lands_here() -> None:
    commands = [step.get("run") for step in _steps(_read(ROOT / ".github/workflows/ci.yml"))]
    assert "make test" in commands
    assert "make test" in (ROOT / ".ci/run").read_text().splitlines()


def test_a_bug_report_asks_for_the_doctor() -> None:
    form = _read(ROOT / ".github/ISSUE_TEMPLATE/bug.yml")
    (doctor,) = [part for part in form["body"] if part.get("id") == "doctor"]
    assert "seedcore-ray doctor --json" in doctor["attributes"]["label"]
    assert doctor["validations"]["required"] is True


def test_code_owners_have_no_names() -> None:
    lines = (ROOT / ".github/CODEOWNERS").read_text().splitlines()
    assert all(line.startswith("#") for line in lines if line)
