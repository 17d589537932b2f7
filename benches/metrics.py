"""Metrics: nothing on a call while connected, little at a scrape."""

from __future__ import annotations

from benches.figures import Check, Figure, Row
from benches.lab import Lab, fields

# Each round times the call with and without exporters, in turn first. Shown means read as well.
_CALLS = """
    import sys, timeit
    import prometheus_client, seedcore_ray
    from seedcore.utils.ray_utils import ensure_ray_initialized

    assert ensure_ray_initialized(sys.argv[1])
    calls = timeit.Timer("ours()", globals={"ours": ensure_ray_initialized})
    registry = prometheus_client.CollectorRegistry()

    def bare():
        seedcore_ray.metrics.unregister(registry)
        return calls.timeit(200_000) / 200_000

    def shown():
        seedcore_ray.metrics.register(registry)
        prometheus_client.generate_latest(registry)
        return calls.timeit(200_000) / 200_000

    differences = []
    for turn in range(40):
        first, second = (bare, shown) if turn % 2 else (shown, bare)
        seconds = {first: first(), second: second()}
        differences.append(seconds[shown] - seconds[bare])
    scrape = timeit.Timer("text()", globals={"text": seedcore_ray.metrics_text})
    report(differences=differences, text=[scrape.timeit(100) / 100 for _ in range(25)])
"""


def rows(lab: Lab) -> list[Row]:
    """The call with exporters minus the call without, and the price of one scrape."""
    seen = fields(_CALLS, lab.head.gcs_address, env=lab.head.env())
    difference, text = Figure.median(seen["differences"]), Figure.median(seen["text"])
    return [
        Row(
            "connected call, native: metrics shown minus not shown",
            difference,
            checks=(Check.below(difference, 2e-9),),
            note="no counter is on that path; a test holds it to that",
        ),
        Row("metrics_text()", text, checks=(Check.below(text, 200e-6),)),
    ]
