"""Addresses that cannot work: how soon a caller knows, and with which cause."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from benches.figures import Check, Figure, Row
from benches.lab import CAP_S, Capped, Fields, Lab, fields, median_of
from tests.support.peers import SilentListener, WebServer, closed_port

PROBE_TIMEOUT_S = 2.0
_ROUNDS = 7

# The call alone: what was imported before it is measured elsewhere.
_PROGRAM = """
    import json, sys, time
    import seedcore_ray
    from seedcore.utils.ray_utils import ensure_ray_initialized

    began = time.perf_counter()
    connected = ensure_ray_initialized(sys.argv[1], **json.loads(sys.argv[2]))
    seconds = time.perf_counter() - began
    error = seedcore_ray.last_error()
    report(seconds=seconds, connected=connected, kind=str(error.kind) if error else None)
"""
_BREAKER = """
    import logging, sys, timeit
    from functools import partial
    import seedcore_ray
    from seedcore.utils.ray_utils import ensure_ray_initialized

    logging.getLogger("seedcore_ray").addHandler(logging.NullHandler())
    address = sys.argv[1]
    ensure_ray_initialized(address, connect_timeout_s=0.6)
    ensure_ray_initialized(address)
    kind = str(seedcore_ray.last_error().kind)
    samples = []
    if kind == "circuit_open":
        timer = timeit.Timer("call()", globals={"call": partial(ensure_ray_initialized, address)})
        samples = [timer.timeit(20_000) / 20_000 for _ in range(15)]
    report(kind=kind, samples=samples)
"""
_MALFORMED = """
    import logging, sys, time
    import seedcore_ray
    from seedcore.utils.ray_utils import ensure_ray_initialized

    logging.getLogger("seedcore_ray").addHandler(logging.NullHandler())
    seconds = []
    for _ in range(501):
        began = time.perf_counter()
        assert not ensure_ray_initialized(sys.argv[1])
        seconds.append(time.perf_counter() - began)
    kind = str(seedcore_ray.last_error().kind)
    report(first=seconds[0], seconds=sorted(seconds[1:])[250], kind=kind)
"""


@dataclass(frozen=True)
class Failure:
    """One way to fail: an address, what we are called with, what must be seen."""

    what: str
    address: str
    kind: str
    limit_s: float = 20e-3
    settings: Mapping[str, float] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    rounds: int = _ROUNDS


def rows(lab: Lab) -> list[Row]:
    """The causes that need no token and no TLS."""
    at_once = {"connect_timeout_s": 0}
    head = lab.head
    closed = closed_port()
    with WebServer() as web, SilentListener() as silent:
        failures = [
            Failure(
                "closed port, ray://", f"ray://127.0.0.1:{closed}", "refused", settings=at_once
            ),
            Failure("closed port, host:port", f"127.0.0.1:{closed}", "refused", settings=at_once),
            Failure("wrong port, ray:// at the GCS", f"ray://{head.gcs_address}", "wrong_port"),
            Failure(
                "wrong port, host:port at Ray Client",
                head.client_address.removeprefix("ray://"),
                "wrong_port",
            ),
            Failure("web server, ray://", web.client_address, "not_ray"),
            Failure(
                "silent listener, ray://",
                silent.client_address,
                "timeout",
                limit_s=PROBE_TIMEOUT_S + 0.05,
                settings=at_once,
                rounds=3,
            ),
        ]
        return [_malformed_row(), *compared(failures), _breaker_row()]


def compared(failures: list[Failure]) -> list[Row]:
    """Each failure with us, then all of them at once with bare Ray and the reference."""
    ours = [_ours(failure) for failure in failures]
    capped = Capped()
    others: list[tuple[Future[Figure], Future[Figure]]] = [
        (
            capped.ray(failure.address, failure.env),
            capped.reference(failure.address, failure.env),
        )
        for failure in failures
    ]
    return [
        _row(failure, mine, ray.result(), reference.result())
        for failure, mine, (ray, reference) in zip(failures, ours, others, strict=True)
    ]


def _ours(failure: Failure) -> list[Fields]:
    settings = json.dumps(dict(failure.settings))
    samples: list[Fields] = []
    while len(samples) < failure.rounds:
        try:
            seen = fields(_PROGRAM, failure.address, settings, env=failure.env, deadline_s=CAP_S)
        except TimeoutError:
            seen = {"seconds": CAP_S, "kind": "none: no answer"}
        samples.append(seen)
        # Far off the mark is clear at once: no rounds of half a minute each to confirm it.
        if samples[-1]["seconds"] > failure.limit_s + 1.0:
            break
    return samples


def _row(failure: Failure, ours: list[Fields], ray: Figure, reference: Figure) -> Row:
    figure = median_of(ours)
    kinds = {str(sample["kind"]) for sample in ours}
    return Row(
        failure.what,
        figure,
        ray=ray,
        reference=reference,
        checks=(
            Check.below(figure, failure.limit_s),
            Check(f"cause {failure.kind} (is {', '.join(sorted(kinds))})", kinds == {failure.kind}),
        ),
    )


def _malformed_row() -> Row:
    address = "ray:/127.0.0.1:10001"
    samples = [fields(_MALFORMED, address) for _ in range(5)]
    capped = Capped()
    ray, reference = capped.ray(address), capped.reference(address)
    figure = median_of(samples)
    return Row(
        "malformed address",
        figure,
        ray=ray.result(),
        reference=reference.result(),
        checks=(Check.below(figure, 50e-6),),
        note=f"the first call of a process: {median_of(samples, 'first')}",
        extra={"kind": samples[0]["kind"]},
    )


def _breaker_row() -> Row:
    what = "call while the breaker is open"
    seen = fields(_BREAKER, f"127.0.0.1:{closed_port()}")
    if not seen["samples"]:
        return Row(what, note=f"no breaker: the second call's cause is {seen['kind']}")
    figure = Figure.median(seen["samples"])
    return Row(what, figure, checks=(Check.below(figure, 1e-6),))
