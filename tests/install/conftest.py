"""The wheel is built once, tools are installed once, environments are copied from one another."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from release.build import own_wheel

from . import hosts
from .environments import PROJECT, Build, Environment

LOCK = PROJECT / "requirements/hosts.txt"


@pytest.fixture(scope="session")
def tools(pytestconfig: pytest.Config) -> Path:
    """An environment with pip, setuptools, pytest, coverage and maturin, kept between runs."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    root = Path(pytestconfig.cache.mkdir("install-tools")) / f"py{version}"
    done = root / "installed"
    with root.with_name(f"{root.name}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # another worker of xdist may be at it
        if not done.exists() or done.read_text() != LOCK.read_text():
            subprocess.run([sys.executable, "-m", "venv", "--clear", root], check=True)
            install = ["-m", "pip", "--quiet", "install", "--require-hashes", "-r", str(LOCK)]
            subprocess.run([str(root / "bin/python"), *install], check=True)
            done.write_text(LOCK.read_text())
    return root


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our wheel: the one that SEEDCORE_RAY_WHEEL names, or built now."""
    given = os.environ.get("SEEDCORE_RAY_WHEEL")
    if given:
        return Path(given).resolve(strict=True)
    return own_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def build(tools: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """`build(step, ...)` is an environment in which these were installed, in that order.

    Every prefix of the steps is kept and copied, so nothing is installed twice. Tests must not
    change it; who wants to takes a copy (`fresh`).
    """
    made: dict[tuple[str, ...], Environment] = {}
    host_wheels: list[Path] = []
    projects = {"flat": hosts.flat_project, "src": hosts.src_project}

    def host_wheel() -> Path:
        if not host_wheels:
            folder = tmp_path_factory.mktemp("host-wheel")
            project = hosts.src_project(folder / "project")
            local = ["--no-index", "--no-deps", "--no-build-isolation"]
            build_steps().pip("wheel", *local, "--wheel-dir", folder, project)
            host_wheels.extend(folder.glob("*.whl"))
        return host_wheels[0]

    def apply(environment: Environment, step: str) -> None:
        match step.split():
            case ["ours"]:
                environment.install(wheel)
            case ["host"]:
                environment.install(host_wheel())
            case ["editable", layout, *strict]:
                project = projects[layout](environment.root / "host-project")
                mode = ["--config-settings", "editable_mode=strict"] if strict else []
                environment.install(*mode, "--editable", project)
            case _:
                raise ValueError(step)

    def build_steps(*steps: str) -> Environment:
        if steps not in made:
            root = tmp_path_factory.mktemp("env") / "venv"
            if steps:
                made[steps] = build_steps(*steps[:-1]).copy(root)
                apply(made[steps], steps[-1])
            else:
                made[steps] = Environment.create(root, tools)
        return made[steps]

    return build_steps


@pytest.fixture
def ours(build: Build) -> Environment:
    """An environment with our wheel and nothing else; not to be changed."""
    return build("ours")


@pytest.fixture
def fresh(build: Build, tmp_path: Path) -> Build:
    """Like `build`, for tests that change what they get."""

    def copy(*steps: str) -> Environment:
        return build(*steps).copy(tmp_path / "venv")

    return copy


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH with the host's package in it."""
    return hosts.package(tmp_path / "host")
