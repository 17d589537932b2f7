"""``seedcore-ray migrate`` on a large code base, beside ``ruff check`` on the same files."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benches.figures import Check, Figure, Row

_FILES = 10_000
_WITH_CALLS = 0.03
_ROUNDS = 5
_MOST_S = 3.0
_BIN = Path(sys.executable).parent
_FUNCTION = '''

def function_{number}(first, second=None):
    """Return what the {number}th function returns."""
    total = 0
    for index, value in enumerate(first):
        if value is None or index % 3 == 0:
            continue
        total += value * {number}
    return {{"total": total, "second": second, "name": f"array_{number}-{{total}}"}}
'''
_START = """

def start():
    if not ray.is_initialized():
        ray.init("auto", namespace="jobs")
"""


def rows() -> list[Row]:
    """One row: finding every call in a tree of 67 MB, on one core, the start of Python included.

    The time is that of the core, so that other work on the machine does not count.
    """
    with tempfile.TemporaryDirectory(prefix="srb-") as name:
        folder = Path(name)
        calls = _make(folder)
        ours, ruff = [], []
        for _ in range(_ROUNDS):
            ours.append(_run(folder, 1, "seedcore-ray", "migrate", ".", "--statistics"))
            ruff.append(_run(folder, None, "ruff", "check", "--no-cache", "--quiet", "."))
        figure = Figure.median(ours)
    note = f"{calls} files with a call; ruff check of the same: {Figure.median(ruff)}"
    what = f"seedcore-ray migrate, {_FILES} files, one core"
    return [Row(what, figure, checks=(Check.below(figure, _MOST_S),), note=note)]


def _make(folder: Path) -> int:
    """Write the files; how many of them have calls."""
    chance = random.Random(1)
    calls = 0
    for number in range(_FILES):
        has_call = chance.random() < _WITH_CALLS
        calls += has_call
        functions = "".join(_FUNCTION.format(number=one) for one in range(chance.randint(2, 40)))
        head = "import ray\n" if has_call else "import sys\n"
        part = folder / f"package_{number % 100}" / f"part_{number % 7}"
        part.mkdir(parents=True, exist_ok=True)
        text = head + functions + (_START if has_call else "")
        (part / f"module_{number}.py").write_text(text)
    return calls


def _run(folder: Path, wanted: int | None, program: str, *arguments: str) -> float:
    """The seconds that a command takes on one core."""
    core = min(os.sched_getaffinity(0))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [str(_BIN / program), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert wanted is None or done.returncode == wanted, done.stdout + done.stderr
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
