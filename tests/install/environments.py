"""Virtual environments to install into: cheap copies, real pip, and a clean process environment."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

PROJECT = Path(__file__).parents[2]
LEAVES = ("ray_utils", "ray_connector")

# What would let the surroundings of this test run reach into an environment under test.
_LEAKS = (
    "PYTHON",
    "SEEDCORE",
    "RAY_",
    "SERVE_",
    "PIP_",
    "VIRTUAL_ENV",
    "COV_",
    "COVERAGE",
    "PYTEST",
)


@dataclass(frozen=True)
class Environment:
    """A virtual environment without pip; `tools` lends it pip, setuptools, pytest and coverage."""

    root: Path
    tools: Path

    @classmethod
    def create(cls, root: Path, tools: Path) -> "Environment":
        """An empty one."""
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", root], check=True)
        return cls(root, tools)

    def copy(self, root: Path) -> "Environment":
        """The same again at `root`: without pip nothing in it knows where it is."""
        shutil.copytree(self.root, root, symlinks=True)
        return Environment(root, self.tools)

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.root / "bin/python"

    @property
    def site(self) -> Path:
        """Its site-packages."""
        return site_of(self.root)

    def run(
        self,
        *arguments: str | Path,
        variables: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        check: bool = True,
        with_tools: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run its interpreter; with `check`, fail showing what it wrote."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith(_LEAKS)}
        # Environments are copied: none may show what ran in the one it was copied from.
        clean["PYTHONDONTWRITEBYTECODE"] = "1"
        clean |= variables or {}
        if with_tools:
            paths = [clean.get("PYTHONPATH"), str(site_of(self.tools))]
            clean["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
            clean["PATH"] = os.pathsep.join([str(self.tools / "bin"), clean["PATH"]])
        done = subprocess.run(
            [self.python, *arguments],
            env=clean,
            cwd=cwd or self.root,
            capture_output=True,
            text=True,
            timeout=600,
        )
        if check and done.returncode:
            raise AssertionError(f"exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def says(self, code: str, *flags: str, **options: Any) -> Any:
        """What a program prints as JSON, started as `python -c`, as Ray starts its workers."""
        return json.loads(self.run(*flags, "-c", code, **options).stdout)

    def pip(self, *arguments: str | Path, cwd: Path | None = None) -> None:
        """Run pip for this environment, without the network."""
        self.run("-m", "pip", "--quiet", *arguments, cwd=cwd, with_tools=True)

    def install(self, *what: str | Path) -> None:
        """`pip install`, from local files only."""
        self.pip("install", "--no-index", "--no-deps", "--no-build-isolation", *what)

    def which(self, *flags: str, **options: Any) -> tuple[int, str]:
        """Exit code and output of `python -m seedcore_ray which`."""
        done = self.run(*flags, "-m", "seedcore_ray", "which", check=False, **options)
        assert not done.stderr, done.stderr
        return done.returncode, done.stdout


class Build(Protocol):
    """`build("host", "ours")`: an environment in which these were installed, in that order."""

    def __call__(self, *steps: str) -> Environment:
        """Steps: `ours`, `host`, `editable src`, `editable flat`, `editable src strict`, ..."""


def site_of(root: Path) -> Path:
    """The site-packages of the virtual environment at `root`."""
    return root / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
