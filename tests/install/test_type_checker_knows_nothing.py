"""Failure mode: a type checker does not know the drop-in names, or loses the host's own ones."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from seedcore_ray._facades import ray_connector, ray_utils

from .environments import Build, Environment

_CALLS = f"""
from seedcore.utils.ray_connector import {", ".join(ray_connector.__all__)}
from seedcore.utils.ray_utils import {", ".join(ray_utils.__all__)}
from seedcore.utils import ray_utils

reveal_type(ensure_ray_initialized("auto", "namespace", connect_timeout_s=1.0))
reveal_type(ray_utils.COG)
reveal_type(get_connection_info()["status"])
ensure_ray_initialized(5)
"""
_KNOWN = [
    'note: Revealed type is "bool"',
    'note: Revealed type is "str"',
    'note: Revealed type is "Any"',
    'error: Argument 1 to "ensure_ray_initialized" has incompatible type "int"; expected '
    '"str | None"  [arg-type]',
]
_HOST = """
import seedcore
from seedcore.agents import worker
from seedcore.utils.other import OWNER

reveal_type(OWNER)
seedcore.OWNER
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of mypy: only the first run reads all of Python's own stubs."""
    return tmp_path_factory.mktemp("mypy-cache")


def _mypy(environment: Environment, cache: Path, source: str) -> list[str]:
    """What it says of a program in that environment, without the places."""
    program = environment.root / "program.py"
    program.write_text(source)
    checker = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    options = ["--python-executable", str(environment.python), "--cache-dir", str(cache)]
    done = subprocess.run(
        [*checker, *options, program.name], cwd=environment.root, capture_output=True, text=True
    )
    assert not done.stderr, done.stderr
    return [line.partition(": ")[2] for line in done.stdout.splitlines()]


def test_without_a_host(fresh: Build, cache: Path) -> None:
    assert _mypy(fresh("ours"), cache, _CALLS) == _KNOWN


def test_beside_a_host_that_has_types(fresh: Build, cache: Path) -> None:
    environment = fresh("host", "ours")
    (environment.site / "seedcore/py.typed").touch()
    said = _mypy(environment, cache, _CALLS + _HOST)
    assert said == [*_KNOWN, 'note: Revealed type is "str"']


def test_beside_an_editable_host(fresh: Build, cache: Path) -> None:
    environment = fresh("editable src", "ours")
    for package in (environment.root / "host-project").rglob("seedcore"):
        (package / "py.typed").touch()
    assert _mypy(environment, cache, _CALLS + _HOST)[: len(_KNOWN)] == _KNOWN


def test_beside_a_host_that_has_none(fresh: Build, cache: Path) -> None:
    assert _mypy(fresh("host", "ours"), cache, _CALLS) == _KNOWN


@pytest.mark.soak
@pytest.mark.skipif(find_spec("basedpyright") is None, reason="pip install basedpyright: 300 MB")
@pytest.mark.parametrize("steps", [("ours",), ("host", "ours"), ("editable src", "ours")], ids=str)
def test_pyright(fresh: Build, steps: tuple[str, ...]) -> None:
    """The same in pyright, whose engine basedpyright brings without a download at its first run."""
    environment = fresh(*steps)
    (environment.root / "program.py").write_text(_CALLS + (_HOST if len(steps) > 1 else ""))
    options = {"include": ["program.py"], "typeCheckingMode": "standard"}
    (environment.root / "pyrightconfig.json").write_text(json.dumps(options))
    checker = [sys.executable, "-m", "basedpyright", "--outputjson"]
    done = subprocess.run(
        [*checker, "--pythonpath", str(environment.python)],
        cwd=environment.root,
        capture_output=True,
        text=True,
    )
    told = json.loads(done.stdout)["generalDiagnostics"]
    shown = [one["message"] for one in told if one["severity"] == "information"]
    assert [words.rpartition(" is ")[2] for words in shown[:3]] == ['"bool"', '"str"', '"Any"']
    wrong = [one for one in told if one["severity"] == "error"]
    assert [one["rule"] for one in wrong] == ["reportArgumentType"], done.stdout
    # Without a host there are types and no source, as with any stubs alone.
    warned = {one["rule"] for one in told if one["severity"] == "warning"}
    assert warned <= {"reportMissingModuleSource"}
    assert bool(warned) is (steps == ("ours",))
