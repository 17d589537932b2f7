"""OpenTelemetry instruments that show something else than the core has counted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import closed_port
from tests.support.scenario import play

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
    return [dict(point.attributes), point.value]

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
    names = {
        name.removesuffix("_seconds") + suffix.removesuffix("_total")
        for name, samples in told["core"].items()
        for suffix, _, _ in samples
    }
    assert set(then) == names
    refused = {"outcome": "failed", "cause": "refused"}
    assert [refused, 2] in told["first"][0]["seedcore_ray_connect_attempts"][1]
    assert [refused, 3] in then["seedcore_ray_connect_attempts"][1]
    assert [{}, 0] in then["seedcore_ray_last_success_timestamp"][1]
    assert then["seedcore_ray_last_success_timestamp"][0] == "s"


@pytest.mark.parametrize("name", ["connect", "probe"])
def test_a_histogram_is_three_counters_with_the_cores_numbers(name: str) -> None:
    told = _play("""
reader = InMemoryMetricReader()
seedcore_ray.metrics.instrument(MeterProvider(metric_readers=[reader]))
for count in range(4):
    for _ in range(count):
        ask()
    collected = collect(reader)
report(collected=collected, core=families())
""")
    core = told["core"][f"seedcore_ray_{name}_duration_seconds"]
    for suffix, unit in (("_bucket", ""), ("_count", ""), ("_sum", "s")):
        expected = [[labels, value] for each, labels, value in core if each == suffix]
        assert told["collected"][f"seedcore_ray_{name}_duration{suffix}"] == [unit, expected]
    failed = [
        value
        for suffix, labels, value in core
        if labels["outcome"] == "failed" and (suffix == "_count" or labels.get("le") == "+Inf")
    ]
    assert failed == [6, 6]


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
    _, counts = told["collected"]["seedcore_ray_connect_duration_count"]
    assert [{"outcome": "failed"}, 1] in counts


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
    _, counts = told["child"]["seedcore_ray_connect_duration_count"]
    assert [{"outcome": "failed"}, 1] in counts
