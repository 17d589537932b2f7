"""What people and probes run by hand: the command line, beside Ray's own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benches.figures import Check, Figure, Row
from benches.lab import Fields, Lab, median_of, rounds
from tests.support.programs import clean_env

_ROUNDS = 15
_BIN = Path(sys.executable).parent


def rows(lab: Lab) -> list[Row]:
    """``health`` and ``doctor`` of the command line."""
    return [*_health_rows(lab), _doctor_row(lab)]


def _health_rows(lab: Lab) -> list[Row]:
    # Ray's own check speaks to the GCS alone, so we do too.
    address = lab.head.gcs_address
    ours, ray = rounds(
        _ROUNDS,
        _command("seedcore-ray", "health", address),
        _command("ray", "health-check", "--address", address),
    )
    wall, wall_ray = median_of(ours), median_of(ray)
    memory, memory_ray = (
        Figure.median([sample["memory"] for sample in samples], "bytes") for samples in (ours, ray)
    )
    return [
        Row(
            "seedcore-ray health, ray health-check",
            wall,
            ray=wall_ray,
            checks=(Check.at_most(wall, 1 / 8, wall_ray, "ray health-check"),),
        ),
        Row(
            "memory: seedcore-ray health, ray health-check",
            memory,
            ray=memory_ray,
            checks=(Check.at_most(memory, 1 / 3, memory_ray, "ray health-check"),),
        ),
    ]


def _doctor_row(lab: Lab) -> Row:
    (samples,) = rounds(_ROUNDS, _command("seedcore-ray", "doctor", env=lab.head.env()))
    figure = median_of(samples)
    what = "seedcore-ray doctor, healthy Ray of this machine"
    return Row(what, figure, checks=(Check.below(figure, 0.15),))


def _command(
    program: str, *arguments: str, env: Mapping[str, str] | None = None
) -> Callable[[], Fields]:
    return lambda: _run([str(_BIN / program), *arguments], env)


def _run(command: list[str], env: Mapping[str, str] | None) -> Fields:
    """Wall time and the most memory of a command that must end with 0."""
    with tempfile.TemporaryDirectory(prefix="srb-") as home:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=home,
            env=clean_env(Path(home), env),
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
    # It was waited for here, so that its own usage is known and nobody else's.
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{' '.join(command)} ended with {process.returncode}"
    return {"seconds": seconds, "memory": usage.ru_maxrss * 1024}
