"""OpenTelemetry instruments that show something else than the core has counted."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from seedcore_ray._opentelemetry import durations
from tests.support import closed_port
from tests.support.scenario import play

_EDGES = (0.0, 0.1, 1.0, 10.0, float("inf"))

_COLLECT = """
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

def collect(reader):
    data = reader.get_metrics_data()
    if data is None:
        return {}
    (scope,) = data.resource_metrics[0].scope_metrics
    return {metric.name: (metric.unit, [shown(point) for point in metric.data.data_points])
            for metric in scope.metrics}

def shown(point):
    if hasattr(point, "value"):
        return [dict(point.attributes), point.value]
    return [dict(point.attributes), point.bucket_counts, point.sum, point.explicit_bounds]

def ask():
    seedcore_ray.ensure_ray_initialized(sys.argv[1], connect_timeout_s=0)

def families():
    return {name: samples for name, _, _, _, samples in seedcore_ray._core.metrics_families()}
"""


def _dead() -> str:
    return f"ray://127.0.0.1:{closed_port()}"


def _play(source: str) -> dict[str, Any]:
    return play(_COLLECT + source, _dead())


def test_every_family_is_an_instrument_for_each_reader() -> None:
    told = _play("""
readers = [InMemoryMetricReader(), InMemoryMetricReader()]
provider = MeterProvider(metric_readers=readers)
seedcore_ray.metrics.instrument(provider), seedcore_ray.metrics.instrument(provider)
ask(), ask()
first = [collect(reader) for reader in readers]
ask()
report(first=first, then=[collect(reader) for reader in readers], core=families())
""")
    assert told["first"][0] == told["first"][1] and told["then"][0] == told["then"][1]
    then = told["then"][0]
    suffixes = {"seedcore_ray_build": "_info"}
    names = {name.removesuffix("_seconds") + suffixes.get(name, "") for name in told["core"]}
    assert set(then) == names
    refused = {"outcome": "failed", "cause": "refused"}
    assert [refused, 2] in told["first"][0]["seedcore_ray_connect_attempts"][1]
    assert [refused, 3] in then["seedcore_ray_connect_attempts"][1]
    assert [{}, 0] in then["seedcore_ray_last_success_timestamp"][1]
    assert then["seedcore_ray_last_success_timestamp"][0] == "s"


@pytest.mark.parametrize("name", ["connect", "probe"])
def test_a_histogram_has_the_cores_buckets_and_sum(name: str) -> None:
    told = _play("""
reader = InMemoryMetricReader()
seedcore_ray.metrics.instrument(MeterProvider(metric_readers=[reader]))
for count in range(4):
    for _ in range(count):
        ask()
    collected = collect(reader)
report(collected=collected, core=families())
""")
    unit, [[attributes, buckets, total, bounds]] = told["collected"][
        f"seedcore_ray_{name}_duration"
    ]
    failed = [
        (suffix, labels.get("le"), value)
        for suffix, labels, value in told["core"][f"seedcore_ray_{name}_duration_seconds"]
        if labels["outcome"] == "failed"
    ]
    cumulative = [value for suffix, _, value in failed if suffix == "_bucket"]
    assert (unit, attributes) == ("s", {"outcome": "failed"})
    assert bounds == [float(le) for _, le, _ in failed if le not in (None, "+Inf")]
    assert [sum(buckets[: n + 1]) for n in range(len(buckets))] == cumulative
    assert cumulative[-1] == 6
    assert total == pytest.approx(next(value for suffix, _, value in failed if suffix == "_sum"))


def test_the_global_provider_may_be_set_later() -> None:
    told = _play("""
from opentelemetry import metrics
seedcore_ray.metrics.instrument()
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
seedcore_ray.metrics.instrument()
ask()
report(collected=collect(reader))
""")
    _, [[_, buckets, *_]] = told["collected"]["seedcore_ray_connect_duration"]
    assert sum(buckets) == 1


def test_a_forked_child_shows_its_own() -> None:
    told = _play("""
reader = InMemoryMetricReader()
seedcore_ray.metrics.instrument(MeterProvider(metric_readers=[reader]))
ask(), ask()
report(parent=collect(reader))
if os.fork() == 0:
    ask()
    report(child=collect(reader), core=families())
    os._exit(0)
os.wait()
""")
    _, attempts = told["child"]["seedcore_ray_connect_attempts"]
    assert [{"outcome": "failed", "cause": "refused"}, 1] in attempts
    # The SDK's own histogram has the parent's two already.
    _, [[_, buckets, *_]] = told["child"]["seedcore_ray_connect_duration"]
    assert sum(buckets) == 3


@pytest.mark.parametrize(
    "buckets", [(1, 0, 0, 0), (0, 0, 0, 1), (2, 0, 1, 0), (0, 3, 0, 5), (7, 1, 1, 1)]
)
@pytest.mark.parametrize("share", [0.01, 0.5, 1.0])
def test_durations_fill_their_buckets_and_add_up(buckets: tuple[int, ...], share: float) -> None:
    longest = (*_EDGES[:-1], 50.0)
    total = sum(
        count * (low + share * (high - low))
        for count, (low, high) in zip(buckets, pairwise(longest), strict=True)
    )
    made = list(durations(_EDGES[1:-1], buckets, total))
    assert sum(made) == pytest.approx(total)
    inside = [sum(low < seconds <= high for seconds in made) for low, high in pairwise(_EDGES)]
    assert inside == list(buckets)
