"""A lazy value that is made, and a guarded constructor: what they add while connected."""

from __future__ import annotations

from benches.connects import MODES, address_of
from benches.figures import Check, Figure, Row
from benches.lab import Fields, Lab, fields
from seedcore_ray.testing import RayHead

_MOST_S = 100e-9

# Interleaved, as in calls.py. The loop's own cost is in both alike and cancels out.
_PROGRAM = """
    import sys, timeit
    import seedcore_ray

    class Manager:
        def __init__(self):
            self.limit = 10

    assert seedcore_ray.ensure_ray_initialized(sys.argv[1], "bench")
    manager = seedcore_ray.lazy(Manager)
    names = {"lazy": manager, "bare": manager.get(), "require_ray": seedcore_ray.require_ray}
    statements = {
        "attribute": ("bare.limit", "lazy.limit"),
        "guard": ("pass", "require_ray()"),
    }
    timers = {key: [timeit.Timer(code, globals=names) for code in pair]
              for key, pair in statements.items()}
    samples = {key: [[], []] for key in statements}
    for _ in range(25):
        for key, pair in timers.items():
            for timer, kept in zip(pair, samples[key]):
                kept.append(timer.timeit(100_000) / 100_000)
    report(**samples)
"""


def rows(lab: Lab) -> list[Row]:
    """Natively and with Ray Client."""
    return [row for mode in MODES for row in _in_mode(mode, lab.head)]


def _in_mode(mode: str, head: RayHead) -> list[Row]:
    seen: Fields = fields(_PROGRAM, address_of(head, mode), env=head.env())
    return [
        _row(f"attribute of a lazy value over the bare one, {mode}", seen["attribute"]),
        _row(f"require_ray() while connected, {mode}", seen["guard"]),
    ]


def _row(what: str, samples: list[list[float]]) -> Row:
    bare, whole = (Figure.median(each) for each in samples)
    over = Figure.median([mine - its for its, mine in zip(*samples, strict=True)])
    return Row(
        what,
        over,
        checks=(Check.below(over, _MOST_S),),
        note=f"{whole} against {bare}",
        extra={"bare_s": bare.value, "whole_s": whole.value},
    )
