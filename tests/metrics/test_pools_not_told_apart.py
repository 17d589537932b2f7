"""Metrics and events of pools that do not say whose they are."""

from __future__ import annotations

from pathlib import Path

from seedcore_ray.testing import RayHead
from tests.metrics.scrape import counted, promtool, stored
from tests.support import closed_port
from tests.support.scenario import play


def test_each_pool_has_its_own_numbers_and_events(ray_head: RayHead) -> None:
    told = play(
        """
from seedcore_ray import ConnectionPool, metrics_text, on_event
import prometheus_client
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
reader = InMemoryMetricReader()
seedcore_ray.metrics.instrument(MeterProvider(metric_readers=[reader]))
registry = prometheus_client.CollectorRegistry()
seedcore_ray.metrics.register(registry)
def instruments():
    (scope,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
    points = [(metric.name, metric.unit, point) for metric in scope.metrics
              for point in metric.data.data_points]
    return [[name, unit, dict(point.attributes), point.value] for name, unit, point in points
            if "pool" in point.attributes]
events = []
on_event(lambda event: events.append([event.name, event.pool, repr(event)]))
report(none=metrics_text(), not_observed=instruments())
ensure_ray_initialized()
pools = {name: ConnectionPool(sys.argv[1], name=name, max_size=size, timeout=0.2)
         for name, size in (("one", 1), ("two", 2))}
pools["gone"] = ConnectionPool(sys.argv[2], name="gone")
for name in ("one", "two"):
    pools[name].open(wait=True)
pools["gone"].open()
with pools["one"].connection():
    waited = threading.Thread(target=lambda: caught_in(pools["one"]))
    def caught_in(pool):
        try:
            pool.run(int)
        except seedcore_ray.PoolTimeout:
            pass
    waited.start(), waited.join()
    while 'down"} 1' in metrics_text() or 'cause="refused"} 1' not in metrics_text():
        time.sleep(0.05)
    report(text=metrics_text(), latest=prometheus_client.generate_latest(registry).decode(),
           observed=instruments())
for pool in pools.values():
    pool.close()
while {"failed", "connected"} > {name for name, *_ in events} or len(events) < 4:
    time.sleep(0.05)
report(closed=metrics_text(), events=events)
""",
        ray_head.client_address,
        f"ray://127.0.0.1:{closed_port()}",
        RAY_ADDRESS=ray_head.gcs_address,
        SEEDCORE_RAY_CONNECT_TIMEOUT_S="1",
    )
    prefix = "seedcore_ray_pool_"
    for idle in (told["none"], told["closed"]):
        assert not [name for name in counted(idle) if name.startswith(prefix)]
    now = counted(told["text"])
    for name, value in {
        "connections one in_use": 1,
        "connections two idle": 1,
        "max_connections two": 2,
        "requests_total one at_once": 1,
        "requests_total one queued": 1,
        "timeouts_total one": 1,
        "connect_attempts_total one connected none": 1,
        "connect_attempts_total gone failed refused": 1,
    }.items():
        assert now[prefix + name] == value, name
    assert now["seedcore_ray_connect_attempts_total connected none"] == 1, "its own one"
    assert now[f"{prefix}wait_seconds_total one"] >= 0.2

    assert f'{prefix}connections{{pool="one",state="in_use"}} 1.0' in told["latest"]
    assert promtool("check", "metrics", given=told["latest"]) == ""
    assert told["not_observed"] == [] and told["observed"]
    shown = {name: (unit, value) for name, unit, labels, value in told["observed"]}
    assert shown[f"{prefix}wait"][0] == "s" and f"{prefix}requests" in shown

    names = {(name, pool) for name, pool, _ in told["events"]}
    assert {("connected", None), ("connected", "one"), ("connected", "two")} <= names
    assert ("failed", "gone") in names
    for _, pool, shown_as in told["events"]:
        assert (pool is None) == ("pool=" not in shown_as)
        assert pool is None or f"pool={pool}" in shown_as


def test_prometheus_takes_a_name_that_needs_quoting(tmp_path: Path) -> None:
    told = play(
        """
from seedcore_ray import ConnectionPool, metrics_text
pools = [ConnectionPool(sys.argv[1], min_size=0, max_size=size, name=name)
         for name, size in (('a"b', 2), ('a"b', 3))]
for pool in pools:
    pool.open()
report(text=metrics_text())
for pool in pools:
    pool.close()
""",
        f"ray://127.0.0.1:{closed_port()}",
    )
    dumped = stored(told["text"], tmp_path)
    assert dumped.count("seedcore_ray_pool_max_connections") == 1, "two of a name are one series"
    assert counted(told["text"])['seedcore_ray_pool_max_connections a"b'] == 5
