"""Ctrl-C in each kind of wait: how soon the caller has its ``KeyboardInterrupt``."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from benches.figures import Check, Figure, Row, show
from benches.lab import CAP_S
from tests.support.peers import GrpcPeer, SilentListener, closed_port
from tests.support.programs import Program

_LIMIT_S = 0.1
_ROUNDS = 5
# From the call to the signal, not in the figure: by then each of the waits has begun.
_UNDER_WAY_S = 2.0
# One look is the whole wait.
_ENV = {"SEEDCORE_RAY_PROBE_TIMEOUT_S": "60"}

_PROGRAM = """
    import os, sys, time
    import ray
    from seedcore.utils.ray_utils import ensure_ray_initialized

    mark("calling")
    try:
        {call}
    except KeyboardInterrupt:
        report(at=time.monotonic())
        os._exit(0)
    sys.exit("it ended before, or with something else")
"""
_OURS = _PROGRAM.format(call="ensure_ray_initialized(sys.argv[1], connect_timeout_s=60)")
_RAY = _PROGRAM.format(call='ray.init(sys.argv[1], logging_level="ERROR")')


@dataclass(frozen=True)
class _Wait:
    what: str
    peer: Callable[[], AbstractContextManager[Any]]
    address: Callable[[Any], str]


_WAITS = (
    _Wait(
        "between two looks at a closed port",
        lambda: nullcontext(f"127.0.0.1:{closed_port()}"),
        str,
    ),
    _Wait("in a look at a silent listener", SilentListener, lambda peer: str(peer.address)),
    _Wait(
        "in ray.init of a silent head",
        GrpcPeer.ray_client,
        lambda peer: str(peer.client_address),
    ),
)


def rows() -> list[Row]:
    """One for each kind of wait."""
    ours = [[_interrupted(_OURS, wait) for _ in range(_ROUNDS)] for wait in _WAITS]
    # They wait, so side by side they do not disturb each other.
    with ThreadPoolExecutor() as pool:
        bare = list(pool.map(lambda wait: _interrupted(_RAY, wait), _WAITS))
    return [_row(*each) for each in zip(_WAITS, ours, bare, strict=True)]


def _row(wait: _Wait, ours: list[Figure], ray: Figure) -> Row:
    longest = max(figure.value for figure in ours)
    return Row(
        f"Ctrl-C {wait.what}",
        Figure.median([figure.value for figure in ours]),
        ray=ray,
        checks=(
            Check(
                f"each < 100 ms (the longest of {_ROUNDS}: {show(longest, 's')})",
                longest < _LIMIT_S,
            ),
        ),
    )


def _interrupted(source: str, wait: _Wait) -> Figure:
    """Seconds from the signal to the exception."""
    with wait.peer() as peer, Program(source, wait.address(peer), env=_ENV) as program:
        program.wait_for_mark("calling", 60)
        time.sleep(_UNDER_WAY_S)
        sent = program.signal(signal.SIGINT)
        try:
            seconds = program.finish(CAP_S).ok().fields["at"] - sent
        except TimeoutError:
            return Figure(CAP_S, capped=True)
    return Figure(seconds, samples=(seconds,))
