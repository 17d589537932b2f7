"""What we cost where nothing is connected: imports, interpreter starts, memory."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benches.figures import Check, Figure, Row
from benches.lab import REFERENCE_ENV, fields, rounds
from tests.support.peers import closed_port
from tests.support.programs import clean_env

_ROUNDS = 15
_HOOK = "_seedcore_ray_hook"
_LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| ( *)(\S+)")

_FACTS = """
    import sys
    import seedcore.utils.ray_utils
    from pathlib import Path
    report(ray="ray" in sys.modules, threads=len(list(Path("/proc/self/task").iterdir())))
"""
_MEMORY = """
    import importlib, sys
    from pathlib import Path

    def rss():
        line = next(x for x in Path("/proc/self/status").open() if x.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    rss()
    before = rss()
    module = importlib.import_module(sys.argv[1])
    after_import = rss()
    if len(sys.argv) > 2:
        assert not module.ensure_ray_initialized(sys.argv[2], connect_timeout_s=0)
        assert "ray" not in sys.modules
    report(imported=after_import - before, probed=rss() - before)
"""


@dataclass(frozen=True)
class _Import:
    name: str
    cumulative_s: float
    depth: int


def rows() -> list[Row]:
    """Import, hook and memory."""
    return [_import_row(), _hook_row(), *_memory_rows()]


def _import_row() -> Row:
    ours, reference, ray = [], [], []
    for _ in range(_ROUNDS):
        ours.append(_import_cost("seedcore.utils.ray_utils"))
        reference.append(_import_cost("reference", REFERENCE_ENV))
    for _ in range(3):
        ray.append(_import_cost("ray"))
    figure = Figure.median(ours)
    facts = fields(_FACTS)
    return Row(
        "import of seedcore.utils.ray_utils, logging not counted",
        figure,
        ray=Figure.median(ray),
        reference=Figure.median(reference),
        checks=(
            Check.below(figure, 3e-3),
            Check("ray not imported", not facts["ray"]),
            Check(f"no thread started (has {facts['threads']})", facts["threads"] == 1),
        ),
    )


def _hook_row() -> Row:
    costs = []
    for _ in range(_ROUNDS):
        hook = [entry for entry in _import_times("pass") if entry.name == _HOOK]
        costs += [entry.cumulative_s for entry in hook]
    what = "the hook, at every interpreter start"
    if not costs:
        return Row(what, note=f"{_HOOK} is not loaded at start: not installed?")
    figure = Figure.median(costs)
    return Row(what, figure, checks=(Check.below(figure, 0.3e-3),))


def _memory_rows() -> list[Row]:
    port = closed_port()
    ours, ray = rounds(
        5,
        lambda: fields(_MEMORY, "seedcore.utils.ray_utils", f"ray://127.0.0.1:{port}"),
        lambda: fields(_MEMORY, "ray"),
    )
    imported, probed, bare = (
        Figure.median([sample[key] for sample in samples], "bytes")
        for samples, key in ((ours, "imported"), (ours, "probed"), (ray, "imported"))
    )
    return [
        Row(
            "memory: import",
            imported,
            ray=bare,
            checks=(Check.below(imported, 6 * 2**20),),
        ),
        Row("memory: after the first probe", probed, checks=(Check.below(probed, 16 * 2**20),)),
    ]


def _import_cost(module: str, env: Mapping[str, str] | None = None) -> float:
    """Seconds for all that the import loads, ``logging`` and what only it loads left out."""
    times = _import_times(f"import {module}", env)
    # `site` is the last thing the interpreter imports on its own.
    first = next(index for index, entry in enumerate(times) if entry.name == "site") + 1
    loaded = times[first:]
    total = sum(entry.cumulative_s for entry in loaded if entry.depth == 0)
    return total - sum(entry.cumulative_s for entry in loaded if entry.name == "logging")


def _import_times(code: str, env: Mapping[str, str] | None = None) -> list[_Import]:
    with tempfile.TemporaryDirectory(prefix="srb-") as home:
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=home,
            env=clean_env(Path(home), env),
        )
    return [
        _Import(name, int(cumulative) * 1e-6, len(indent) // 2)
        for _, cumulative, indent, name in _LINE.findall(done.stderr)
    ]
