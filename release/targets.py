"""The machines that a release has wheels for, and whether Rust can build for them here."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

# glibc 2.28: Debian 10, RHEL 8, Ubuntu 20.04 and whatever is newer. Ray's own wheels need 2.17.
_MANYLINUX = "manylinux_2_28"
# The oldest macOS that Rust itself supports, by architecture.
_MACOS = {"x86_64": "10.12", "aarch64": "11.0"}


@dataclass(frozen=True)
class Target:
    """A machine by its Rust name, such as ``aarch64-unknown-linux-gnu``."""

    triple: str

    @property
    def machine(self) -> str:
        """As `platform.machine()` says it on Linux: ``x86_64`` or ``aarch64``."""
        return self.triple.partition("-")[0]

    @property
    def is_linux(self) -> bool:
        """Whether auditwheel knows it and a smoke test can run here."""
        return "-linux-" in self.triple

    @property
    def options(self) -> list[str]:
        """What maturin is asked beside the target."""
        return ["--compatibility", _MANYLINUX] if self.is_linux else []

    @property
    def variables(self) -> dict[str, str]:
        """What maturin and Rust read from the environment."""
        return {} if self.is_linux else {"MACOSX_DEPLOYMENT_TARGET": _MACOS[self.machine]}


TARGETS = {
    triple: Target(triple)
    for triple in (
        "x86_64-unknown-linux-gnu",
        "aarch64-unknown-linux-gnu",
        "aarch64-apple-darwin",
        "x86_64-apple-darwin",
    )
}


def of_wheel(wheel: Path) -> Target:
    """The machine that its file name says it is for."""
    tag = wheel.stem.rpartition("-")[2]
    machine = "x86_64" if tag.endswith("x86_64") else "aarch64"
    return TARGETS[f"{machine}-unknown-linux-gnu" if "linux" in tag else f"{machine}-apple-darwin"]


def unavailable(target: Target) -> str | None:
    """Why Rust cannot build for it, after asking rustup for its standard library."""
    if _has_std(target):
        return None
    command = ["rustup", "target", "add", target.triple]
    try:
        asked = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return f"Rust's standard library for {target.triple} is missing, and there is no rustup"
    if _has_std(target):
        return None
    said = asked.stderr.strip().splitlines()
    return f"`{' '.join(command)}` failed: {said[-1] if said else asked.returncode}"


def _has_std(target: Target) -> bool:
    rustc = os.environ.get("RUSTC", "rustc")
    command = [rustc, "--print", "target-libdir", "--target", target.triple]
    asked = subprocess.run(command, capture_output=True, text=True)
    return asked.returncode == 0 and any(Path(asked.stdout.strip()).glob("libstd-*"))
