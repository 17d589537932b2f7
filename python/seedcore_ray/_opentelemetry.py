"""The metrics as instruments of OpenTelemetry, under the names of docs/metrics.md.

OpenTelemetry's exporters to Prometheus append unit and type to a name, so both are left out here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.metrics import Observation

from seedcore_ray import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.metrics import CallbackOptions, MeterProvider

# What the names of samples have beyond that of their family. A family may have no samples yet.
# OpenTelemetry has no observable histogram, so each series of a histogram is a counter.
_SUFFIXES = {
    "counter": ("_total",),
    "histogram": ("_bucket", "_count", "_sum"),
    "info": ("_info",),
}


def make(provider: MeterProvider) -> None:
    """Create all instruments, in a meter of their own."""
    meter = provider.get_meter("seedcore_ray", _core.VERSION)
    for family, kind, text, unit, _ in _core.metrics_families():
        counts = kind in ("counter", "histogram")
        for suffix in _SUFFIXES.get(kind, ("",)):
            create = meter.create_observable_counter if counts else meter.create_observable_gauge
            name = family.removesuffix(f"_{unit}") + suffix.removesuffix("_total")
            measured_in = "s" if unit == "seconds" and suffix not in ("_bucket", "_count") else ""
            create(name, [_observer(family, suffix)], measured_in, text)


def _observer(family: str, suffix: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        for name, _kind, _text, _unit, samples in _core.metrics_families():
            for its_suffix, labels, value in samples:
                if (name, its_suffix) == (family, suffix):
                    yield Observation(value, labels)

    return observe
