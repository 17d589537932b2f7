"""Build a wheel, and the sdist, so that the same commit gives the same bytes in any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from release import sbom
from release.targets import Target

ROOT = Path(__file__).parents[1]
# Rust's own separator: a path may have spaces.
_BETWEEN_FLAGS = "\x1f"
# 1980, where zip begins: for a tree without git, such as an unpacked sdist.
_NO_COMMIT = "315532800"
_PIP_WHEEL = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]


def wheel(folder: Path, target: Target) -> Path:
    """Build the wheel for that machine into `folder`, linked by zig."""
    options = ["--zig", "--target", target.triple, *target.options]
    return _wheel(folder, target.triple, options, target.variables)


def own_wheel(folder: Path) -> Path:
    """Build the wheel for this machine and Python into `folder`, with its own linker."""
    return _wheel(folder, None, ["--interpreter", sys.executable], {})


def sdist(folder: Path) -> Path:
    """Write the sdist into `folder`."""
    return _maturin("sdist", folder, [], {}, "*.tar.gz")


def from_sdist(archive: Path) -> None:
    """Build a wheel from the sdist, as pip does where none fits. It is thrown away."""
    print(f"building from {archive.name}, as pip does where no wheel fits ...", flush=True)
    target = os.environ.get("CARGO_TARGET_DIR") or ROOT / "target"
    with tempfile.TemporaryDirectory(prefix="from-sdist-") as folder:
        subprocess.run(
            [*_PIP_WHEEL, "--wheel-dir", folder, archive],
            env=os.environ | {"CARGO_TARGET_DIR": str(target)},
            check=True,
        )


def _wheel(
    folder: Path, triple: str | None, options: Iterable[str], variables: dict[str, str]
) -> Path:
    settings = ["--release", "--locked", "--quiet", *options]
    flags = {"CARGO_ENCODED_RUSTFLAGS": _BETWEEN_FLAGS.join(_rust_flags())}
    built = _maturin("build", folder, settings, flags | variables, "*.whl")
    sbom.settle(built, ROOT, triple)
    return built


def _maturin(
    command: str, folder: Path, options: list[str], variables: dict[str, str], made: str
) -> Path:
    """Run it; answer the one new file."""
    before = set(folder.glob(made))
    # Where maturin finds zig, and where pip has put maturin.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run(
        [sys.executable, "-m", "maturin", command, "--out", folder, *options],
        cwd=ROOT,
        env=os.environ | {"PATH": path, "SOURCE_DATE_EPOCH": commit_time()} | variables,
        check=True,
    )
    (new,) = set(folder.glob(made)) - before
    return new


def _rust_flags() -> list[str]:
    """Say folders of this machine by names that are the same on each, also in panic messages."""
    given = os.environ.get("CARGO_ENCODED_RUSTFLAGS")
    flags = given.split(_BETWEEN_FLAGS) if given else os.environ.get("RUSTFLAGS", "").split()
    home = os.environ.get("CARGO_HOME") or Path.home() / ".cargo"
    places = {ROOT: "/seedcore-ray", Path(home).absolute(): "/cargo"}
    return [*flags, *(f"--remap-path-prefix={path}={name}" for path, name in places.items())]


def commit_time() -> str:
    """Seconds since 1970 of the last commit, as SOURCE_DATE_EPOCH has them."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return given
    command = ["git", "log", "-1", "--format=%ct"]
    try:
        asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return _NO_COMMIT
    return asked.stdout.strip() or _NO_COMMIT
