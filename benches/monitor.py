"""The monitor: what it costs, how soon it notices, and how soon it is connected again."""

from __future__ import annotations

import time

from benches.connects import MODES, address_of
from benches.figures import Check, Figure, Row
from benches.lab import Lab, fields
from seedcore_ray.testing import RayHead
from tests.support.programs import Program

_ROUNDS_S = 5.0
_INTERVAL_S = 5.0
_WATCHED = """
    import sys, time, timeit
    import seedcore_ray
    from seedcore.utils.ray_connector import is_connected
    from seedcore.utils.ray_utils import is_ray_available

    def looks():
        families = seedcore_ray._core.metrics_families()
        (probes,) = [f for f in families if f[0] == "seedcore_ray_probe_duration_seconds"]
        return sum(value for suffix, _, value in probes[4] if suffix == "_count")

    assert seedcore_ray.ensure_ray_initialized(sys.argv[1], "bench")
    seedcore_ray.start_monitor(interval_s=0.005)
    time.sleep(1)
    before, cpu = looks(), time.process_time()
    time.sleep(float(sys.argv[2]))
    cpu, rounds = time.process_time() - cpu, looks() - before
    seedcore_ray.start_monitor(interval_s=5)
    before = looks()
    while looks() == before:
        time.sleep(0.01)
    assert is_ray_available() and is_connected()
    timers = {name: timeit.Timer(name + "()", globals=globals())
              for name in ("is_ray_available", "is_connected")}
    report(round_s=cpu / rounds, rounds=rounds,
           answers={name: [timer.timeit(10_000) / 10_000 for _ in range(25)]
                    for name, timer in timers.items()})
"""

# Down for that long: noticed, and not yet given up by anybody.
_DOWN_S = 10.0
_RIDE = """
    import sys, time
    import seedcore_ray

    seen = {}

    @seedcore_ray.on_event
    def note(event):
        seen.setdefault(event.name, time.monotonic())

    quiet = {"logging_level": "ERROR", "log_to_driver": False}
    assert seedcore_ray.ensure_ray_initialized(sys.argv[1], "bench", **quiet)
    import ray

    ray.get(ray.remote(lambda: 42).remote())
    mark("ready")
    while seedcore_ray.generation() < 2 or seedcore_ray.connection().state != "connected":
        time.sleep(0.01)
    ray.get(ray.remote(lambda: 42).remote())
    report(task=time.monotonic(), **seen)
"""


def rows(lab: Lab) -> list[Row]:
    """What looks cost, then a head that dies and comes back."""
    found = _watched(lab.head)
    # What follows kills its head, and is played beside no other.
    lab.stop_head()
    return found + [row for mode in MODES for row in _restarted(mode)]


def _watched(head: RayHead) -> list[Row]:
    seen = fields(_WATCHED, head.gcs_address, str(_ROUNDS_S), env=head.env())
    cost = Figure(seen["round_s"])
    answers = {name: Figure.median(samples) for name, samples in seen["answers"].items()}
    return [
        *(
            Row(f"{name}(), from the monitor", took, checks=(Check.below(took, 2e-6),))
            for name, took in answers.items()
        ),
        Row(
            "CPU time of one look of the monitor",
            cost,
            checks=(Check.below(cost, _INTERVAL_S / 1000),),
            note=f"{seen['rounds']:.0f} looks; one in {_INTERVAL_S:g} s is "
            f"{cost.value / _INTERVAL_S:.4%} of a core",
        ),
    ]


def _restarted(mode: str) -> list[Row]:
    with RayHead() as head, Program(_RIDE, address_of(head, mode), env=head.env()) as program:
        program.wait_for_mark("ready", 90)
        died = time.monotonic()
        head.shut()
        time.sleep(_DOWN_S)
        head.start()
        up = time.monotonic()
        seen = program.finish(90).ok().fields
    noticed = Figure(seen["unhealthy"] - died)
    task = Figure(max(0.0, seen["task"] - up))
    return [
        Row(
            f"head dies: noticed, {mode}",
            noticed,
            checks=(Check.below(noticed, 0.5),),
        ),
        Row(
            f"head is back: until a task has run, {mode}",
            task,
            checks=(Check.below(task, 1 if mode == "native" else 3),),
            note="0: before the head said that it was up",
        ),
    ]
