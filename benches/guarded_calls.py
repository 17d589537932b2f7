"""Calls of Ray's that the guard stands before, beside bare Ray in the same process."""

from __future__ import annotations

from benches.figures import Check, Figure, Row
from benches.lab import Fields, Lab, fields

# Interleaved: each round times every statement guarded and bare. ``get`` and ``_remote`` are names
# that Ray's own functions call the check from; it is what a call without the GCS pays for.
_PROGRAM = """
    import sys, time, timeit
    import ray
    from ray._private.worker import global_worker
    from seedcore.utils.ray_utils import ensure_ray_initialized
    from seedcore_ray import _core
    from seedcore_ray._ray import guarded_calls

    kept = []
    install = guarded_calls.install
    guarded_calls.install = lambda *guard: (install(*guard), kept.append(guard))
    assert ensure_ray_initialized(sys.argv[1], "bench")
    while not kept:
        time.sleep(0.01)

    class Named:
        def ping(self):
            return 42

    actor = ray.remote(Named).options(num_cpus=0, name="named").remote()
    assert ray.get(actor.ping.remote()) == 42
    ref = ray.put(1)

    def get():
        global_worker.check_connected()

    statements = {
        "check": (get, 50_000),
        "get": (lambda: ray.get(ref), 300),
        "get_actor": (lambda: ray.get_actor("named"), 30),
        "cluster_resources": (ray.cluster_resources, 30),
        "nodes": (ray.nodes, 30),
    }
    samples = {f"{how} {key}": [] for how in ("guarded", "bare") for key in statements}
    for _ in range(25):
        for how in ("guarded", "bare"):
            install(*kept[0]) if how == "guarded" else guarded_calls.remove()
            for key, (call, count) in statements.items():
                call()  # what is done once, for each guard anew
                samples[f"{how} {key}"].append(timeit.timeit(call, number=count) / count)
    report(**samples)
"""

# What a call may take more than bare Ray's.
_WITHOUT_GCS_S = 50e-9
_WITH_GCS_S = 0.4e-3

_TITLES = {
    "check": "the check of a call that needs no GCS",
    "get": "`ray.get` of what is there",
    "get_actor": "`ray.get_actor()`",
    "cluster_resources": "`ray.cluster_resources()`",
    "nodes": "`ray.nodes()`",
}


def rows(lab: Lab) -> list[Row]:
    """Natively, while all is well."""
    head = lab.head
    seen: Fields = fields(_PROGRAM, head.gcs_address, env=head.env())
    return [_row(key, title, seen) for key, title in _TITLES.items()]


def _row(key: str, title: str, seen: Fields) -> Row:
    guarded = Figure.median(seen[f"guarded {key}"])
    bare = Figure.median(seen[f"bare {key}"])
    more = _WITHOUT_GCS_S if key == "check" else _WITH_GCS_S
    checks = () if key == "get" else (Check.below(guarded, bare.value + more),)
    return Row(f"guarded, {title}", guarded, None, bare, checks=checks)
