"""Servers of other people that tests run for real: from the PATH, else from Debian's packages.

The packages are unpacked, not installed: no root is needed, and no service of theirs begins to run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

# The packages that hold the program and those libraries of its that a slim image may lack.
_PACKAGES = {
    "nginx": ("nginx", "libpcre2-8-0"),
    "redis-server": ("redis-server", "redis-tools", "liblzf1", "libjemalloc2", "libatomic1"),
}
_DOWNLOAD_S = 120


@dataclass(frozen=True)
class DebianProgram:
    """An executable, and the environment in which it finds its libraries."""

    path: str
    env: dict[str, str]


def program(name: str) -> DebianProgram:
    """``nginx`` or ``redis-server``; skips the test where there is neither it nor Debian."""
    path, libraries = _found(name)
    if path is None:
        pytest.skip(f"needs {name}: not on the PATH, and this machine has no Debian packages")
    env = dict(os.environ)
    if libraries:
        env["LD_LIBRARY_PATH"] = libraries
    return DebianProgram(path, env)


@cache
def _found(name: str) -> tuple[str | None, str]:
    if path := shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin"):
        return path, ""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return None, ""
    # One folder for each process that may unpack at the same time as others (pytest-xdist).
    root = Path(sys.prefix) / "debian" / f"{name}-{os.getpid()}"
    packages = root / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["apt-get", "download", "-qq", *_PACKAGES[name]],
        cwd=packages,
        check=True,
        capture_output=True,
        timeout=_DOWNLOAD_S,
    )
    for package in packages.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
    path = shutil.which(name, path=f"{root}/usr/sbin:{root}/usr/bin")
    libraries = (str(folder) for folder in root.glob("usr/lib/*-linux-gnu"))
    return path, ":".join(libraries)
