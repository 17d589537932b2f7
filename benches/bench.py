"""Every number we promise, measured in one run, side by side.

``python -m benches.bench`` from the repository's root, with the wheel and ``ray[client]``
installed. Prints a table and writes ``benches/results.json``, from which ``benches.readme`` draws.
Exits 1 when a row fails.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benches import (
    calls,
    command_line,
    connects,
    credentials,
    event_loop,
    failures,
    footprint,
    forks,
    guarded_calls,
    interrupts,
    lazy,
    metrics,
    migrate,
    monitor,
    pool,
    readiness,
    service,
)
from benches.chart import caption
from benches.figures import Check, Row, table
from benches.lab import CAP_S, Lab
from tests.support.rows import dumps

_ROOT = Path(__file__).parent.parent
_GROUPS: dict[str, Callable[[Lab], list[Row]]] = {
    "footprint": lambda lab: footprint.rows(),
    "calls": calls.rows,
    "guarded_calls": guarded_calls.rows,
    "metrics": metrics.rows,
    "failures": failures.rows,
    "interrupts": lambda lab: interrupts.rows(),
    "connects": connects.rows,
    "forks": forks.rows,
    "event_loop": event_loop.rows,
    "credentials": credentials.rows,
    "command_line": command_line.rows,
    "migrate": lambda lab: migrate.rows(),
    "lazy": lazy.rows,
    "monitor": monitor.rows,
    "pool": pool.rows,
    "readiness": readiness.rows,
    "service": service.rows,
}


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="every number we promise, side by side")
    parser.add_argument("groups", nargs="*", help=f"only these of {', '.join(_GROUPS)}")
    parser.add_argument("--json", type=Path, default=_ROOT / "benches" / "results.json")
    parser.add_argument("--samples", type=Path, help="write every single sample there, too")
    options = parser.parse_args()
    if unknown := set(options.groups) - set(_GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}")

    # As an exit, so that heads and programs are ended on the way.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    results = _measure(options.groups or list(_GROUPS))
    rows = [row for group in results.values() for row in group]
    run = {**_circumstances(), "wall_s": round(time.monotonic() - began, 1)}
    print(table(rows))
    print(f"\nmedians; bare Ray and the reference are stopped after {CAP_S:g} s. {caption(run)}")
    print(f"measured in {run['wall_s']:.0f} s")
    # A part of the numbers must not pass for all of them.
    if not options.groups:
        kept = [{"group": name, **row.as_json()} for name in results for row in results[name]]
        options.json.write_text(dumps({"run": run, "rows": kept}) + "\n")
    if options.samples:
        options.samples.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 1 if any(row.verdict == "FAIL" for row in rows) else 0


def _measure(names: list[str]) -> dict[str, list[Row]]:
    results = {}
    with Lab() as lab:
        for name in names:
            began = time.monotonic()
            print(f"{name} ...", end=" ", flush=True, file=sys.stderr)
            try:
                results[name] = _GROUPS[name](lab)
            except (AssertionError, TimeoutError) as error:
                # A program of ours failed: that is a result. The other groups still count.
                print(error, file=sys.stderr)
                results[name] = [Row(f"group {name}", checks=(Check("runs to its end", False),))]
            print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return results


def _circumstances() -> dict[str, Any]:
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seedcore_ray": importlib.metadata.version("seedcore-ray"),
        "ray": importlib.metadata.version("ray"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_at_end": os.getloadavg(),
        "cap_s": CAP_S,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.partition(": ")[2] for x in lines if x.startswith("model name")), "unknown")


if __name__ == "__main__":
    sys.exit(main())
