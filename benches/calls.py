"""A call while connected: the price a service pays at every request."""

from __future__ import annotations

from benches.figures import Check, Figure, Row
from benches.lab import REFERENCE_ENV, Fields, Lab, fields
from seedcore_ray.testing import RayHead

# Interleaved: each round times every function once. The loop's own cost is in all of them alike.
_PROGRAM = """
    import sys, timeit
    from seedcore.utils.ray_utils import ensure_ray_initialized
    from seedcore_ray._core import _empty
    import ray, reference

    address = sys.argv[1]
    assert ensure_ray_initialized(address, "bench")
    assert reference.ensure_ray_initialized() and ray.is_initialized()
    names = {
        "ours": ensure_ray_initialized, "empty": _empty,
        "ray": ray.is_initialized, "reference": reference.ensure_ray_initialized,
        "address": address,
    }
    statements = {
        "ours": ("ours()", 200_000),
        "keywords": ("ours(ray_address=address, ray_namespace='bench')", 200_000),
        "empty": ("empty()", 200_000),
        "ray": ("ray()", 20_000),
        "reference": ("reference()", 10_000),
        "loop": ("pass", 200_000),
    }
    timers = {key: timeit.Timer(code, globals=names) for key, (code, _) in statements.items()}
    samples = {key: [] for key in statements}
    for _ in range(25):
        for key, (_, count) in statements.items():
            samples[key].append(timers[key].timeit(count) / count)
    report(**samples)
"""


def rows(lab: Lab) -> list[Row]:
    """Native and client, without and with arguments."""
    return [*_in_mode("native", lab.head, 3.0), *_in_mode("client", lab.head, 4.5)]


def _in_mode(mode: str, head: RayHead, most: float) -> list[Row]:
    address = head.gcs_address if mode == "native" else head.client_address
    seen: Fields = fields(_PROGRAM, address, env={**REFERENCE_ENV, **head.env()})
    ours, empty, ray, reference, keywords = (
        Figure.median(seen[key]) for key in ("ours", "empty", "ray", "reference", "keywords")
    )
    return [
        Row(
            f"connected call, {mode}",
            ours,
            empty,
            ray,
            reference,
            checks=(
                Check.at_most(ours, most, empty, "the empty call"),
                Check.faster(ours, 3, ray, "ray.is_initialized()"),
                Check.faster(ours, 10, reference, "the reference"),
            ),
            extra={"empty_loop_s": Figure.median(seen["loop"]).value},
        ),
        Row(
            f"connected call, two keywords, {mode}",
            keywords,
            empty,
            checks=(Check.at_most(keywords, 7, empty, "the empty call"),),
        ),
    ]
