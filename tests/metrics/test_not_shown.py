"""Metrics that do not come through in the service's own exporter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.metrics.scrape import counted, promtool, stored
from tests.support import closed_port
from tests.support.scenario import play

_ASK = "seedcore_ray.ensure_ray_initialized(sys.argv[1], connect_timeout_s=0)\n"


def _dead() -> str:
    return f"ray://127.0.0.1:{closed_port()}"


def test_the_services_own_metrics_have_ours() -> None:
    told = play(
        """
import prometheus_client
import seedcore_ray
own = prometheus_client.CollectorRegistry()
latest = lambda registry: prometheus_client.generate_latest(registry).decode()
ours = lambda registry: latest(registry).count("# TYPE seedcore_ray_")
counts = [ours(prometheus_client.REGISTRY), ours(own)]
seedcore_ray.metrics.register(), seedcore_ray.metrics.register()
seedcore_ray.metrics.register(own)
counts += [ours(prometheus_client.REGISTRY), ours(own)]
"""
        + _ASK
        + """
report(latest=latest(own), text=seedcore_ray.metrics_text())
seedcore_ray.metrics.unregister(own), seedcore_ray.metrics.unregister(own)
counts += [ours(prometheus_client.REGISTRY), ours(own)]
seedcore_ray.metrics.register(own)
report(counts=[*counts, ours(own)])
""",
        _dead(),
    )
    all_of_them = told["text"].count("# TYPE")
    assert all_of_them > 9
    assert told["counts"] == [0, 0, all_of_them, all_of_them, all_of_them, 0, all_of_them]
    failed = 'seedcore_ray_connect_attempts_total{cause="refused",outcome="failed"} 1.0\n'
    assert failed in told["latest"]
    assert promtool("check", "metrics", given=told["latest"]) == ""


def test_names_that_somebody_else_has_are_refused() -> None:
    told = play(
        """
import prometheus_client
prometheus_client.Gauge("seedcore_ray_generation", "Somebody else's.")
for _ in range(2):
    try:
        seedcore_ray.metrics.register()
    except ValueError as error:
        report(error=str(error))
"""
    )
    assert "seedcore_ray_generation" in told["error"]


def test_prometheus_takes_the_text_for_openmetrics(tmp_path: Path) -> None:
    told = play(
        "import seedcore_ray\n" + _ASK + "report(text=seedcore_ray.metrics_text())", _dead()
    )
    lines = told["text"].splitlines()
    dumped = stored(told["text"], tmp_path)
    assert dumped.count("seedcore_ray_") >= len([x for x in lines if not x.startswith("#")])
    assert 'cause="refused", outcome="failed"} 1 ' in dumped


@pytest.mark.parametrize(
    ("module", "call", "package"),
    [
        ("prometheus_client", "register()", "prometheus-client"),
        ("opentelemetry.metrics", "instrument()", "opentelemetry-api"),
    ],
)
def test_a_missing_package_is_named(module: str, call: str, package: str) -> None:
    told = play(
        f"""
sys.modules[{module!r}] = None
try:
    seedcore_ray.metrics.{call}
except ModuleNotFoundError as error:
    report(error=str(error))
"""
    )
    assert f"pip install {package}" in told["error"]


def test_nothing_of_it_is_imported_before_it_is_wanted() -> None:
    told = play(
        """
report(early="seedcore_ray.metrics" in sys.modules)
seedcore_ray.metrics
report(late="seedcore_ray.metrics" in sys.modules, text=seedcore_ray.metrics_text(),
       others={"prometheus_client", "opentelemetry", "ray"} & sys.modules.keys() or None)
try:
    seedcore_ray.nothing
except AttributeError as error:
    report(error=str(error))
"""
    )
    assert (told["early"], told["late"], told["others"]) == (False, True, None)
    assert counted(told["text"]) and "'nothing'" in told["error"]
