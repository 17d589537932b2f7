"""What people and probes run by hand: the command line, beside Ray's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from benches.figures import Check, Figure, Row
from benches.lab import Fields, Lab, fields, median_of, rounds

_ROUNDS = 15
_BIN = Path(sys.executable).parent

# A process counts the memory of the one it was forked from as its own, so it is started by one
# that is smaller than itself.
_WATCH = """
    import os, sys, time
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    began = time.perf_counter()
    process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - began
    assert status == 0, f"{sys.argv[1:]} ended with {status}"
    report(seconds=seconds, memory=usage.ru_maxrss * 1024)
"""


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
    return lambda: fields(_WATCH, str(_BIN / program), *arguments, env=env)
