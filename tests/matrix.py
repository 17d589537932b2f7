"""``make matrix``: the tests on the Rays and Pythons that we say we work with.

``python tests/matrix.py WHEEL [--rays VERSION,...] TEST...`` makes one environment for each pair in
``.venv-matrix``, installs the wheel there and runs the tests. A pair whose Python is not on this
machine is skipped. Prints a table, writes it to ``docs/matrix.md`` when every pair ran, and exits 1
when a pair failed or none ran.
"""

from __future__ import annotations

import argparse
import datetime
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / ".venv-matrix"
DOCUMENT = ROOT / "docs/matrix.md"
# What the tests import. Not pinned: a service that is held to an old Ray is held to nothing else.
PACKAGES = ("anyio", "psutil", "pytest>=8", "setuptools>=77", "uvloop")

# They wait far more than they compute.
AT_ONCE = 3


class Pair(NamedTuple):
    """A Ray and the Python it runs on."""

    ray: str
    python: str
    # What that Ray needs kept back, found by running it.
    also: tuple[str, ...] = ()


PAIRS = (
    Pair("2.33.0", "3.10"),
    Pair("2.44.1", "3.11"),
    Pair("2.55.1", "3.12"),
    Pair("2.60.0", "3.10"),
    Pair("2.60.0", "3.12"),
    Pair("2.60.0", "3.13"),
)


def main() -> int:
    """Run the tests on every pair."""
    given = _arguments()
    wheel = given.wheel.resolve(strict=True)
    pairs = [pair for pair in PAIRS if not given.rays or pair.ray in given.rays.split(",")]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        rows = list(pool.map(partial(_timed, wheel=wheel, tests=given.tests), pairs))
    lines = ["| Ray | Python | result | seconds |", "|---|---|---|---|"]
    lines += [f"| {p.ray} | {p.python} | {result} | {seconds:.0f} |" for p, result, seconds in rows]
    table = "\n".join(lines)
    print(f"\n{table}")
    results = [result for _, result, _ in rows]
    ran = [result for result in results if not result.startswith("skipped")]
    # A part of the matrix must not pass for all of it.
    if len(ran) == len(PAIRS):
        when = datetime.date.today().isoformat()
        folders = ", ".join(f"`{test}`" for test in given.tests)
        DOCUMENT.write_text(
            f"# Rays and Pythons\n\n`make matrix` on {when}, over {folders}.\n\n{table}\n"
        )
    return 0 if ran and all("passed" in result for result in ran) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--rays", default="", help="only these versions, with commas between them")
    parser.add_argument("tests", nargs="+", help="files and folders, as pytest takes them")
    return parser.parse_args()


def _timed(pair: Pair, wheel: Path, tests: list[str]) -> tuple[Pair, str, float]:
    began = time.monotonic()
    result = _run(pair, wheel, tests)
    return pair, result, time.monotonic() - began


def _run(pair: Pair, wheel: Path, tests: list[str]) -> str:
    interpreter = _find(pair.python)
    if interpreter is None:
        return f"skipped: no python{pair.python} here"
    python = ENVIRONMENTS / f"ray{pair.ray}-py{pair.python}" / "bin/python"
    if not python.exists():
        subprocess.run([interpreter, "-m", "venv", python.parents[1]], check=True)
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    wanted = [f"ray[client]=={pair.ray}", *PACKAGES, *pair.also]
    if subprocess.run([*pip, *wanted]).returncode:
        return "failed: not installed"
    subprocess.run([*pip, "--no-deps", "--no-index", "--force-reinstall", str(wheel)], check=True)
    pytest = [str(python), "-m", "pytest", "-m", "matrix or not soak", *tests]
    ended = subprocess.run(
        [*pytest, "-p", "no:cacheprovider"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    print(f"\n== Ray {pair.ray}, Python {pair.python}\n{ended.stdout}", flush=True)
    if ended.returncode:
        return f"failed: pytest exit {ended.returncode}"
    counted = re.search(r"(\d+ passed(?:, \d+ skipped)?)", ended.stdout)
    return counted[1] if counted else "failed: no test ran"


def _find(version: str) -> str | None:
    """A Python of that version that starts: pyenv's own, not its shims, else one on the PATH."""
    own = sorted((Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python{version}"))
    on_path = shutil.which(f"python{version}")
    for candidate in [*map(str, own), *([on_path] if on_path else [])]:
        said = subprocess.run([candidate, "--version"], capture_output=True, text=True)
        if re.match(rf"Python {re.escape(version)}\.", said.stdout):
            return candidate
    return None


if __name__ == "__main__":
    sys.exit(main())
