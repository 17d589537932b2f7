"""Failure mode: the host's own pytest run stops, or meets the old modules, because of us."""

from pathlib import Path

import pytest

from .environments import Environment

TEST = """
import importlib, sys
import seedcore.utils.ray_utils as ray_utils
from seedcore.agents.worker import absolute, relative

def test_ours():
    assert "_facades" in ray_utils.__file__, ray_utils.__file__
    assert absolute is relative is ray_utils.ensure_ray_initialized

def test_reload():
    assert importlib.reload(ray_utils) is ray_utils
    assert "_facades" in ray_utils.__file__

def test_monkeypatch(monkeypatch):
    monkeypatch.setattr("seedcore.utils.ray_utils.ensure_ray_initialized", lambda: "fake")
    assert ray_utils.ensure_ray_initialized() == "fake"

def test_host():
    import seedcore.utils.other as other
    assert other.OWNER == "host"

def test_pop():
    del sys.modules["seedcore.utils.ray_utils"]
    import seedcore.utils.ray_utils as again
    assert again is not ray_utils and "_facades" in again.__file__
"""

# Finders that stand in front of ours and would serve the host's file. The first is what pytest
# does by itself for a host that is a pytest plugin; the second is what typeguard's hook does.
REWRITE_THE_HOST = """
import pytest
pytest.register_assert_rewrite("seedcore")
"""
CHECK_THE_HOST = """
import sys
from importlib.machinery import PathFinder

class Checker:
    def find_spec(self, name, path=None, target=None):
        return PathFinder.find_spec(name, path) if name.startswith("seedcore.") else None

sys.meta_path.insert(0, Checker())
"""

RUNS: dict[str, tuple[str, ...]] = {
    "pytest": ("-m", "pytest"),
    "coverage": ("-m", "coverage", "run", "--source", "src/seedcore", "-m", "pytest"),
}


@pytest.fixture
def suite(host: Path, tmp_path: Path) -> Path:
    """The host's repository: src/seedcore and tests."""
    root = tmp_path / "repository"
    (root / "tests").mkdir(parents=True)
    host.rename(root / "src")
    (root / "tests/test_host.py").write_text(TEST)
    (root / "pytest.ini").write_text("[pytest]\npythonpath = src\nfilterwarnings = error\n")
    return root


def run(environment: Environment, root: Path, *arguments: str) -> str:
    """Run a program of the tools in `root`; it must succeed."""
    return environment.run(*arguments, cwd=root, with_tools=True).stdout


@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
@pytest.mark.parametrize("program", RUNS.values(), ids=RUNS.keys())
def test_import_modes(ours: Environment, suite: Path, program: tuple[str, ...], mode: str) -> None:
    assert "5 passed" in run(ours, suite, *program, f"--import-mode={mode}", "tests")


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
@pytest.mark.parametrize(
    "conftest", [REWRITE_THE_HOST, CHECK_THE_HOST], ids=["assertion rewriting", "checker"]
)
def test_finder_in_front_of_ours(ours: Environment, suite: Path, mode: str, conftest: str) -> None:
    (suite / "tests/conftest.py").write_text(conftest)
    assert "5 passed" in run(ours, suite, "-m", "pytest", f"--import-mode={mode}", "tests")


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
@pytest.mark.parametrize("first", ["src", "src/seedcore/utils"])
def test_doctests_leave_the_superseded_modules_out(
    ours: Environment, suite: Path, mode: str, first: str
) -> None:
    (suite / "src/seedcore/utils/__init__.py").write_text('"""\n>>> 1\n1\n"""\n')
    arguments = (f"--import-mode={mode}", "--doctest-modules", first, "tests")
    assert "6 passed" in run(ours, suite, "-m", "pytest", *arguments)


def test_switched_off_the_doctests_of_the_host_run(ours: Environment, suite: Path) -> None:
    arguments = ["-m", "pytest", "--doctest-modules", "src/seedcore/utils"]
    off = {"SEEDCORE_RAY_IMPORT_HOOK": "0"}
    done = ours.run(*arguments, cwd=suite, with_tools=True, variables=off)
    assert "2 passed" in done.stdout
