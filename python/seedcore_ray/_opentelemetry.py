"""Our metrics as instruments of OpenTelemetry, under the names of docs/metrics.md.

Its exporters to Prometheus add what a name says of unit and type, so it is left out here.
"""

from __future__ import annotations

import threading
from importlib.metadata import version
from itertools import pairwise, repeat
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.metrics import Observation

from seedcore_ray import _core

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider

_UNITS = {"": "", "seconds": "s"}


def make(provider: MeterProvider) -> None:
    """Make all instruments, in a meter of their own."""
    meter = provider.get_meter("seedcore_ray", version("seedcore-ray"))
    families = _core.metrics_families()
    feeds = [_Feed(meter, *family[:4]) for family in families if family[1] == "histogram"]
    for name, kind, text, unit, _ in families:
        observe = _Observed(name)
        if kind == "counter":
            meter.create_observable_counter(name, [observe], description=text)
        elif kind == "info":
            # Any observable instrument would do: its callbacks run before histograms are read.
            meter.create_observable_gauge(f"{name}_info", [*feeds, observe], description=text)
        elif kind != "histogram":
            short = name.removesuffix(f"_{unit}")
            meter.create_observable_gauge(short, [observe], _UNITS[unit], text)


def _samples(name: str) -> list[tuple[str, dict[str, str], float]]:
    families = _core.metrics_families()
    return next(samples for family, *_, samples in families if family == name)


class _Observed:
    """The numbers of one family, whenever they are asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, _: CallbackOptions) -> Iterator[Observation]:
        for _suffix, labels, value in _samples(self._name):
            yield Observation(value, labels)


class _Counts(NamedTuple):
    """One histogram of the core: how many in each bucket, how long together."""

    buckets: tuple[float, ...]
    total: float


class _Feed:
    """Gives a histogram, at each collection, what the core counted since the one before.

    OpenTelemetry has observable counters and gauges, but no observable histogram.
    """

    def __init__(self, meter: Meter, name: str, _kind: str, text: str, unit: str) -> None:
        self._name = name
        self._seen: dict[str, _Counts] = {}
        self._lock = threading.Lock()  # two readers may collect at once
        bounds = dict.fromkeys(labels["le"] for _, labels, _ in _samples(name) if "le" in labels)
        self._bounds = [float(bound) for bound in bounds][:-1]
        self._histogram = meter.create_histogram(
            name.removesuffix(f"_{unit}"),
            _UNITS[unit],
            text,
            explicit_bucket_boundaries_advisory=self._bounds,
        )

    def __call__(self, _: CallbackOptions) -> list[Observation]:
        with self._lock:
            for outcome, now in self._read():
                for seconds in self._news(self._seen.get(outcome), now):
                    self._histogram.record(seconds, {"outcome": outcome})
                self._seen[outcome] = now
        return []

    def _read(self) -> Iterator[tuple[str, _Counts]]:
        counts = [0.0]
        for suffix, labels, value in _samples(self._name):
            if suffix == "_bucket":
                counts.append(value)
            elif suffix == "_sum":
                buckets = tuple(high - low for low, high in pairwise(counts))
                yield labels["outcome"], _Counts(buckets, value)
                counts = [0.0]

    def _news(self, seen: _Counts | None, now: _Counts) -> Iterator[float]:
        # A forked child begins anew, with less than its parent had.
        if seen is None or sum(now.buckets) < sum(seen.buckets):
            seen = _Counts((0.0,) * len(now.buckets), 0.0)
        buckets = [new - old for new, old in zip(now.buckets, seen.buckets, strict=True)]
        return durations(self._bounds, buckets, now.total - seen.total)


def durations(bounds: Sequence[float], buckets: Sequence[float], total: float) -> Iterator[float]:
    """Durations that fill these buckets and add up to that: the core keeps no single ones.

    Args:
        bounds: the upper bounds of all buckets but the last, in seconds.
        buckets: how many durations are in each bucket.
        total: how long they are together, in seconds.

    Returns:
        As many durations as there were. A single one is exact.
    """
    lows, highs = (0.0, *bounds), (*bounds, max(bounds[-1], total))
    least = sum(count * low for count, low in zip(buckets, lows, strict=True))
    most = sum(count * high for count, high in zip(buckets, highs, strict=True))
    # A lower bound itself belongs to the bucket below.
    share = min(max((total - least) / (most - least), 1e-6), 1.0) if most > least else 1.0
    for count, low, high in zip(buckets, lows, highs, strict=True):
        yield from repeat(low + share * (high - low), int(count))
