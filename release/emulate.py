"""A Python of another machine under qemu, from Debian's packages, where qemu and apt are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

NEEDED = "qemu-user-static with Debian's apt"
_ARCHITECTURES = {"aarch64": "arm64", "x86_64": "amd64"}
# The Python of Debian 12 with the libraries that its own modules load.
_PYTHON = "python3.11"
_PACKAGES = (
    *("libc6", "libgcc-s1", "zlib1g", "libexpat1", "libssl3", "libffi8", "libuuid1"),
    *("libbz2-1.0", "liblzma5", "libpython3.11-minimal", "libpython3.11-stdlib"),
    "python3.11-minimal",
)
_KEPT = Path(__file__).parents[1] / "target/emulated"


def python(machine: str) -> list[str] | None:
    """The command of a Python for that machine, fetched once; None where that cannot be had."""
    qemu = shutil.which(f"qemu-{machine}-static") or shutil.which(f"qemu-{machine}")
    if qemu is None:
        return None
    root = _KEPT / machine
    interpreter = root / f"usr/bin/{_PYTHON}"
    if not interpreter.exists():
        try:
            _fetch(root, _ARCHITECTURES[machine])
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"no Python for {machine} from Debian: {error}", file=sys.stderr)
            return None
    return [qemu, "-L", str(root), str(interpreter)]


def _fetch(root: Path, architecture: str) -> None:
    """Unpack the packages into `root`. apt works on lists of its own: nothing is installed."""
    with tempfile.TemporaryDirectory(prefix="apt-") as folder:
        settings = _apt(Path(folder), architecture)
        unpacked = Path(folder) / "root"
        names = [f"{name}:{architecture}" for name in _PACKAGES]
        for command in (["update"], ["download", *names]):
            subprocess.run(
                ["apt-get", "-qq", *command],
                cwd=folder,
                env=os.environ | {"APT_CONFIG": str(settings)},
                check=True,
            )
        for package in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", package, unpacked], check=True)
        root.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(unpacked, root)


def _apt(folder: Path, architecture: str) -> Path:
    """apt's settings for a state of its own in `folder`."""
    (folder / "lists/partial").mkdir(parents=True)
    (folder / "archives/partial").mkdir(parents=True)
    (folder / "status").touch()
    settings = folder / "apt.conf"
    settings.write_text(f"""
        APT::Architectures {{ "{architecture}"; }};
        APT::Sandbox::User "root";
        Dir::State "{folder}";
        Dir::State::status "{folder}/status";
        Dir::Cache "{folder}";
    """)
    return settings
