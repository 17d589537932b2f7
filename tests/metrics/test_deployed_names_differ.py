"""Alerts, dashboard and documents that speak of other metrics than there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from seedcore_ray import _core
from tests.metrics.scrape import promtool
from tests.support.dashboard import Span, answered, queries, svg

_ROOT = Path(__file__).parents[2]
_RULES = _ROOT / "deploy" / "prometheus" / "seedcore-ray.rules.yml"
_DASHBOARD = _ROOT / "deploy" / "grafana" / "seedcore-ray.json"


@pytest.fixture(autouse=True)
def _pool() -> Iterator[None]:
    """Without a pool its metrics have no samples, and so no labels. Nothing runs it here."""
    pool = _core.Pool("ray://127.0.0.1:1", (None, "a"), (1, 1, 0), 1, 1, {})
    pool.open()
    yield
    pool.close(False)


def _labels() -> dict[str, dict[str, set[str]]]:
    """For each name of a sample: its labels, and the values that each has."""
    known: dict[str, dict[str, set[str]]] = {}
    for name, _, _, _, samples in _core.metrics_families():
        for suffix, labels, _ in samples:
            values = known.setdefault(name + suffix, {})
            for label, value in labels.items():
                values.setdefault(label, set()).add(value)
    return known


def _dashboard() -> dict[str, Any]:
    dashboard: dict[str, Any] = json.loads(_DASHBOARD.read_text())
    return dashboard


def _alert_queries() -> Iterator[str]:
    for group in yaml.safe_load(_RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]


def test_promtool_accepts_the_alerts_and_their_tests() -> None:
    assert "6 rules found" in promtool("check", "rules", _RULES.name, cwd=_RULES.parent)
    told = promtool("test", "rules", "seedcore-ray.rules.test.yml", cwd=_RULES.parent)
    assert "SUCCESS" in told


def test_promtool_accepts_the_dashboards_queries(tmp_path: Path) -> None:
    asked = list(queries())
    rules = [{"record": f"query_{index}", "expr": query} for index, query in enumerate(asked)]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "a", "rules": rules}]}))
    assert f"{len(asked)} rules found" in promtool("check", "rules", "rules.yml", cwd=tmp_path)


@pytest.mark.parametrize("query", [*_alert_queries(), *queries()])
def test_a_query_asks_for_what_there_is(query: str) -> None:
    known = _labels()
    selected = re.findall(r"(seedcore_ray_\w+)(?:\{(.*?)\})?(?=[\[\s)]|$)", query)
    assert selected
    for metric, selector in selected:
        assert metric in known or metric in {label for of in known.values() for label in of}
        # job and instance are what Prometheus adds itself.
        for label, values in re.findall(r'(\w+)=~?"(.*?)"', selector.replace("job=", "instance=")):
            wanted = set(values.split("|"))
            assert label == "instance" or wanted <= known[metric][label], (metric, label)


def test_grafana_knows_every_field_of_the_dashboard() -> None:
    """Grafana's own model keeps what it knows and drops the rest."""
    plugins = pytest.importorskip("grafana_foundation_sdk.cog.plugins")
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models.dashboard import Dashboard

    plugins.register_default_plugins()
    written = _dashboard()
    model = Dashboard.from_json(written)
    # An unknown kind of panel would be taken as it is.
    assert [panel.type for panel in model.panels if isinstance(panel.options, dict)] == []
    kept = json.loads(json.dumps(model, cls=JSONEncoder))
    assert list(_missing(written, kept)) == []


def _missing(written: Any, kept: Any, path: str = "") -> Iterator[str]:
    if isinstance(written, dict):
        for key, value in written.items():
            yield from _missing(value, kept.get(key), f"{path}/{key}")
    elif isinstance(written, list):
        for index, value in enumerate(written):
            yield from _missing(value, kept[index] if kept else None, f"{path}/{index}")
    elif written != kept:
        yield path


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in _dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken and max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells


def test_the_document_lists_what_there_is() -> None:
    rows = re.findall(
        r"(?m)^\| `(seedcore_ray_\w+)` \| (\w+) \| (.*?) \|",
        (_ROOT / "docs/metrics.md").read_text(),
    )
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    there_are = {}
    suffixes = {"counter": "_total", "info": "_info"}
    for name, kind, _, _, samples in _core.metrics_families():
        labels = {label for _, labels, _ in samples for label in labels} - {"le"}
        there_are[name + suffixes.get(kind, "")] = (kind, labels)
    assert documented == there_are


def test_the_picture_has_what_the_queries_answered() -> None:
    def ask(query: str) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        labels = {
            "seedcore_ray_connection_state": "connected",
            "seedcore_ray_breaker_state": "open",
        }
        labels |= {"outcome": "failed", "cause": "a<b", "version": "1.2.3", "instance": "a:1"}
        # A gap: a line of its own for what comes after.
        return [(labels, [(0.0, 1.0), (1.0, 2.0), (5.0, 3.0)])]

    panels = answered(ask, "4s")
    drawn = svg(panels, Span(10.0, {"the head is gone": 2.0}), "a caption")
    root = ElementTree.fromstring(drawn)
    space = "{http://www.w3.org/2000/svg}"
    words = {text.text for text in root.iter(f"{space}text")}
    assert {panel.spec["title"] for panel in panels} <= words
    assert {"connected", "open", "failed a<b", "1.2.3", "2 s", "a caption"} <= words
    lines = [panel for panel in panels if panel.spec["type"] == "timeseries"]
    asked = sum(len(panel.spec["targets"]) for panel in lines)
    assert len(list(root.iter(f"{space}polyline"))) == 2 * asked
    states = [rect.get("class") for rect in root.iter(f"{space}rect")]
    assert (states.count("green"), states.count("red")) == (3, 3)
