"""The metrics of this process in the exporter of the service: Prometheus or OpenTelemetry.

``seedcore_ray.metrics_text()`` needs no package at all; ``register`` needs ``prometheus-client``,
``instrument`` needs ``opentelemetry-api``. docs/metrics.md explains each metric.
"""

from __future__ import annotations

import threading
from importlib import import_module
from weakref import WeakSet

from seedcore_ray import _core

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from opentelemetry.metrics import MeterProvider
    from prometheus_client import CollectorRegistry, Metric

__all__ = ["CONTENT_TYPE", "instrument", "register", "unregister"]

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
"""The content type of ``seedcore_ray.metrics_text()``, for an HTTP response."""


class _Collector:
    """The collector that a registry of ``prometheus_client`` calls at each scrape."""

    def collect(self) -> Iterator[Metric]:
        from prometheus_client import Metric

        for name, kind, text, unit, samples in _core.metrics_families():
            metric = Metric(name, text, kind, unit)
            for suffix, labels, value in samples:
                metric.add_sample(name + suffix, labels, value)
            yield metric


_collector = _Collector()
_registries: WeakSet[CollectorRegistry] = WeakSet()
_instrumented: WeakSet[Any] = WeakSet()
_lock = threading.Lock()


def register(registry: CollectorRegistry | None = None) -> None:
    """Add the metrics to the service's own ``/metrics``; a second call changes nothing.

    Args:
        registry: a registry of ``prometheus_client``; its default one when left out.

    Raises:
        ModuleNotFoundError: ``prometheus-client`` is not installed.
        ValueError: the registry has other metrics of these names.
    """
    registry = _default_registry() if registry is None else registry
    with _lock:
        if registry not in _registries:
            registry.register(_collector)
            _registries.add(registry)


def unregister(registry: CollectorRegistry | None = None) -> None:
    """Remove the metrics from a registry; does nothing when they are not in it.

    Args:
        registry: the one given to ``register``.
    """
    registry = _default_registry() if registry is None else registry
    with _lock:
        if registry in _registries:
            registry.unregister(_collector)
            _registries.discard(registry)


def instrument(meter_provider: MeterProvider | None = None) -> None:
    """Create an instrument of OpenTelemetry for each metric; a second call changes nothing.

    They are read at each collection. OpenTelemetry cannot remove instruments.

    Args:
        meter_provider: the global one when left out, also if the service sets that only later.

    Raises:
        ModuleNotFoundError: ``opentelemetry-api`` is not installed.
    """
    _need("opentelemetry.metrics", "opentelemetry-api")
    from opentelemetry import metrics as api

    from seedcore_ray import _opentelemetry

    # The global provider is a proxy until the service sets its own, so the module stands for it.
    key = api if meter_provider is None else meter_provider
    with _lock:
        if key not in _instrumented:
            _opentelemetry.make(meter_provider or api.get_meter_provider())
            _instrumented.add(key)


def _default_registry() -> CollectorRegistry:
    _need("prometheus_client", "prometheus-client")
    from prometheus_client import REGISTRY

    return REGISTRY


def _need(module: str, package: str) -> None:
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        message = f"{module} is not installed; it comes with `pip install {package}`"
        raise ModuleNotFoundError(message, name=error.name) from None
