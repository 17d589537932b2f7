"""The check of the imports: that it fails when they run up or in a circle."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import imports

_CIRCLE = "in a circle"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A small package whose imports all point down, to be spoiled."""
    files = {
        "__init__.py": "from seedcore_ray._async_api import connect",
        "_async_api.py": "from seedcore_ray import _core\nfrom seedcore_ray._ray import sigterm",
        "_ray/__init__.py": "",
        "_ray/sigterm.py": "from seedcore_ray import _core",
        "_ray/release.py": "from seedcore_ray._ray import sigterm",
        "_core.pyi": "from seedcore_ray._errors import RayConnectionError",
        "_errors.py": "",
        **{f"{name}.py": "" for name in ("__main__", "_connect", "_events", "_facades", "_lazy")},
        **{f"{name}.py": "" for name in ("_hook_status", "_monitor", "_opentelemetry", "_stub")},
        "_process_end.py": "",
        **{f"{name}.py": "" for name in ("cli", "fastapi", "metrics", "migrate", "pool")},
        **{f"{name}.py": "" for name in ("pytest_plugin", "testing")},
    }
    for name, source in files.items():
        path = tmp_path / "seedcore_ray" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(source + "\n")
    return tmp_path / "seedcore_ray"


def test_imports_that_point_down_pass(package: Path) -> None:
    assert imports.lint(package) == 0


@pytest.mark.parametrize(
    ("file", "line", "words"),
    [
        ("_errors.py", "from seedcore_ray import _core", "_errors is not allowed to import"),
        ("_ray/sigterm.py", "import seedcore_ray._monitor", "_ray is not allowed to import"),
        ("_ray/sigterm.py", "from seedcore_ray import connect", _CIRCLE),
        ("_ray/sigterm.py", "from seedcore_ray._ray import release", _CIRCLE),
        (
            "_ray/sigterm.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import release",
            _CIRCLE,
        ),
        ("_ray/sigterm.py", "def late():\n from seedcore_ray._ray import release", _CIRCLE),
    ],
)
def test_what_runs_up_or_round_is_told(
    package: Path, capfd: pytest.CaptureFixture[str], file: str, line: str, words: str
) -> None:
    with (package / file).open("a") as spoiled:
        spoiled.write(line + "\n")
    assert imports.lint(package) == 1
    assert words in " ".join(capfd.readouterr().out.split())


def test_a_module_without_a_floor_is_told(package: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copy(package / "_stub.py", package / "_new.py")
    assert imports.lint(package) == 1
    assert "_new" in capfd.readouterr().out


def test_the_picture_shows_the_imports() -> None:
    """``make architecture`` draws it anew."""
    assert imports.PICTURE.read_text() == imports.drawn()
