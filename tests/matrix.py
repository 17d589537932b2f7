"""``make matrix``: the tests on the Rays and Pythons that we say we work with.

``python tests/matrix.py WHEEL [--rays VERSION,...] TEST...`` makes one environment for each pair in
``.venv-matrix``, installs the wheel there and runs the tests. A pair whose Python is not on this
machine is skipped. Prints a table, writes the rows of the pairs that ran to ``docs/matrix.md``, and
exits 1 when a pair failed or none ran.
"""

from __future__ import annotations

import argparse
import datetime
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / ".venv-matrix"
DOCUMENT = ROOT / "docs/matrix.md"
# What the tests import. Not pinned: a service that is held to an old Ray is held to nothing else.
PACKAGES = ("anyio", "psutil", "pytest>=8", "setuptools>=77", "uvloop")

# They wait more than they compute. With four, a head of one did not start within 90 s on two cores.
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
    when = datetime.date.today().isoformat()
    lines = {
        pair: f"| {pair.ray} | {pair.python} | {result} | {seconds:.0f} | {when} |"
        for pair, result, seconds in rows
    }
    print("", *lines.values(), sep="\n")
    ran = {pair: result for pair, result, _ in rows if not result.startswith("skipped")}
    DOCUMENT.write_text(document(given.tests, {pair: lines[pair] for pair in ran}))
    return 0 if ran and all("passed" in result for result in ran.values()) else 1


def document(tests: list[str], ran: Mapping[Pair, str], before: Path = DOCUMENT) -> str:
    """The table with the new rows; of the one before, what other pairs did in the same tests."""
    folders = ", ".join(f"`{test}`" for test in tests)
    heading = f"# Rays and Pythons\n\n`make matrix` over {folders}.\n\n"
    known = before.read_text() if before.exists() else ""
    lines = ["| Ray | Python | result | seconds | date |", "|---|---|---|---|---|"]
    for pair in PAIRS:
        kept = re.search(
            rf"^\| {re.escape(pair.ray)} \| {re.escape(pair.python)} \|.*$", known, re.M
        )
        if pair in ran:
            lines.append(ran[pair])
        elif kept and known.startswith(heading):
            lines.append(kept[0])
    return heading + "\n".join(lines) + "\n"


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
