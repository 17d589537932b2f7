"""Try a wheel in a bare environment, without Ray: ``python release/smoke.py WHEEL``.

Needs pip, and nothing else. ``--python`` names another interpreter, also one with arguments:
``--python "qemu-aarch64-static -L ROOT ROOT/usr/bin/python3.11"``.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_NAME = "seedcore-ray"
# An emulated machine takes up to 20 s to start Python on a busy host.
_TIMEOUT_S = 300
# What this process was given and a bare environment must not see.
_LEAKS = ("PYTHON", "SEEDCORE", "RAY_", "PIP_", "VIRTUAL_ENV")
_REFUSED = 12
_CONNECT = """
import sys, seedcore_ray
from seedcore.utils import ray_connector, ray_utils
assert "_facades" in ray_utils.__file__, ray_utils.__file__
assert "_facades" in ray_connector.__file__, ray_connector.__file__
assert ray_utils.ensure_ray_initialized(sys.argv[1]) is False
try:
    seedcore_ray.connect(sys.argv[1], connect_timeout_s=1)
except seedcore_ray.RayConnectionError as error:
    print(error)
"""


def main() -> None:
    """Try each wheel; the first that fails ends it with what it said."""
    parser = argparse.ArgumentParser(description="try a wheel in a bare environment, without Ray")
    parser.add_argument("wheels", nargs="+", type=Path, metavar="WHEEL")
    parser.add_argument("--python", default=sys.executable, help="the interpreter to try it with")
    options = parser.parse_args()
    for wheel in options.wheels:
        smoke(wheel, shlex.split(options.python))
        print(f"{wheel.name}: installed, connected to nothing in words, and gone again", flush=True)


def smoke(wheel: Path, python: list[str]) -> None:
    """Install it, use it, uninstall it. An AssertionError says what was wrong."""
    with tempfile.TemporaryDirectory(prefix="smoke-") as folder:
        bare = Bare.create(Path(folder), python)
        before = bare.files()
        bare.pip("install", "--no-index", str(wheel.resolve(strict=True)))
        installed = bare.files() - before
        assert any(file.endswith("seedcore_ray_hook.pth") for file in installed), installed
        _documents(bare, installed)
        _commands(bare, wheel.name.split("-")[1])
        bare.pip("uninstall", "--yes", _NAME)
        left = bare.files() - before
        assert not left, f"uninstall left {sorted(left)}"


def _documents(bare: Bare, installed: set[str]) -> None:
    """What lies in the wheel beside the code: the licences and the list of crates."""
    for wanted in ("/licenses/LICENSE", "/licenses/THIRD-PARTY-LICENSES.txt"):
        assert any(file.endswith(wanted) for file in installed), f"no {wanted}"
    (sbom,) = (file for file in installed if "/sboms/" in file)
    listed = json.loads((bare.root / sbom).read_text())["components"]
    assert {"pyo3", "tokio"} <= {crate["name"] for crate in listed}, sbom


def _commands(bare: Bare, version: str) -> None:
    """The console script and the module, at an address where nothing listens."""
    script = str(bare.root / "bin" / _NAME)
    assert bare.run(script, "--version") == f"{_NAME} {version}\n"
    assert "RAY_ADDRESS" in bare.run(script, "config")
    assert "active" in bare.run(script, "which")
    with _closed_port() as address:
        report = json.loads(bare.run(script, "doctor", address, "--json", code=_REFUSED))
        assert report["exit_code"] == _REFUSED, report
        said = bare.run("-c", _CONNECT, address)
    assert address in said and "the ray package is not installed" in said, said


@dataclass(frozen=True)
class Bare:
    """A virtual environment without any package; its pip is that of this interpreter."""

    root: Path
    python: list[str]
    borrowed: Path

    @classmethod
    def create(cls, folder: Path, python: list[str]) -> Bare:
        """Make it in `folder`."""
        root = folder / "venv"
        subprocess.run([*python, "-m", "venv", "--without-pip", str(root)], check=True)
        spec = find_spec("pip")
        assert spec and spec.origin, f"{sys.executable} has no pip"
        borrowed = folder / "borrowed"
        borrowed.mkdir()
        (borrowed / "pip").symlink_to(Path(spec.origin).parent)
        return cls(root, [*python[:-1], str(root / "bin/python")], borrowed)

    def files(self) -> set[str]:
        """All that is in it, compiled modules too, by their names from its root."""
        return {str(found.relative_to(self.root)) for found in self.root.rglob("*")}

    def pip(self, *arguments: str) -> None:
        """Run pip in it, without the network."""
        self.run(
            "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments, path=self.borrowed
        )

    def run(self, *arguments: str, code: int = 0, path: Path | None = None) -> str:
        """What its Python prints; an AssertionError where it ends with another code."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(_LEAKS)}
        if path:
            clean["PYTHONPATH"] = str(path)
        done = subprocess.run(
            [*self.python, *arguments],
            cwd=self.root.parent,
            env=clean,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )
        told = f"{shlex.join(arguments)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == code, told
        return done.stdout


@contextmanager
def _closed_port() -> Iterator[str]:
    """An address that refuses: bound, so that nobody else takes it, and not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


if __name__ == "__main__":
    main()
