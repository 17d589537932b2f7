"""What a scrape shows, read by Prometheus's own libraries and tools."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families


def counted(text: str) -> dict[str, float]:
    """The samples of an OpenMetrics text that are not zero, by name and label values."""
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.value != 0
    }


def promtool(*args: str, given: str = "", cwd: Path | None = None) -> str:
    """What ``promtool`` says; a check that fails is an ``AssertionError``."""
    here = Path(sys.executable).with_name("promtool")
    program = str(here) if here.exists() else shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool here: make promtool fetches it where apt is")
    done = subprocess.run(
        [program, *args], input=given, cwd=cwd, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def stored(text: str, folder: Path) -> str:
    """What Prometheus dumps after it has taken in an OpenMetrics text; ``folder`` is empty."""
    # Importing wants the time at which a sample was taken.
    timed = [line if line.startswith("#") else f"{line} 1700000000" for line in text.splitlines()]
    (folder / "metrics.txt").write_text("\n".join(timed) + "\n")
    import_ = ("tsdb", "create-blocks-from", "openmetrics")
    promtool(*import_, "metrics.txt", "blocks", cwd=folder)
    (folder / "blocks" / "wal").mkdir()  # empty; dump wants one
    return promtool("tsdb", "dump", "blocks", cwd=folder)
