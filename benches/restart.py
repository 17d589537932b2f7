"""A recorded restart of a head: Prometheus scrapes a service, the dashboard's queries are drawn.

``python -m benches.restart`` from the repository's root, with the wheel installed and after
``make promtool``. Writes ``docs/pictures/dashboard.svg``; takes a minute and a half.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seedcore_ray.testing import RayHead
from seedcore_ray.testing.ports import accepts, free_ports
from tests.support.dashboard import STEP_S, Answer, Span, answered, svg
from tests.support.polling import wait_until
from tests.support.programs import Program

_PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "dashboard.svg"
_HOST = "127.0.0.1"
# Nobody asks for Ray; connected; long enough for it to be given up as lost; and to come back.
_IDLE_S, _WELL_S, _AWAY_S, _BACK_S = 5.0, 15.0, 25.0, 45.0
# ray.init holds the interpreter for seconds on a busy machine, where no scrape is answered.
_RATE_INTERVAL = "10s"

_SERVICE = """
    import sys, threading, time
    import prometheus_client
    import seedcore_ray
    from seedcore.utils.ray_utils import ensure_ray_initialized, is_ray_available

    seedcore_ray.metrics.register()
    prometheus_client.start_http_server(int(sys.argv[2]), "127.0.0.1")

    def requests():
        while True:
            ensure_ray_initialized(sys.argv[1], connect_timeout_s=1)
            is_ray_available()
            time.sleep(0.2)

    mark("serving")
    time.sleep(float(sys.argv[3]))
    threading.Thread(target=requests, daemon=True).start()
    sys.stdin.read()
"""


class Prometheus:
    """A real one, that scrapes one target every second."""

    def __init__(self, directory: Path, target: int) -> None:
        (self._port,) = free_ports(1)
        config = directory / "prometheus.yml"
        scrape = {"job_name": "service", "static_configs": [{"targets": [f"{_HOST}:{target}"]}]}
        # JSON is YAML.
        config.write_text(
            json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]})
        )
        here = Path(sys.executable).with_name("prometheus")
        program = str(here) if here.exists() else shutil.which("prometheus")
        if program is None:
            raise SystemExit("no prometheus here: make promtool fetches it where apt is")
        self._process = subprocess.Popen(
            [
                program,
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address={_HOST}:{self._port}",
                "--log.level=error",
            ]
        )

    def wait_until_ready(self) -> None:
        """Until it answers queries."""
        wait_until(lambda: accepts(_HOST, self._port), 30, "prometheus accepts connections")

    def ask(self, query: str, began: float, seconds: float) -> Answer:
        """A range query with a step of one second; the points as seconds since ``began``."""
        asked = {"query": query, "start": began, "end": began + seconds, "step": STEP_S}
        url = f"http://{_HOST}:{self._port}/api/v1/query_range?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return [(series["metric"], list(_points(series["values"], began))) for series in result]

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=30)


def _points(values: Sequence[tuple[float, str]], began: float) -> Iterator[tuple[float, float]]:
    for at, value in values:
        # A quantile of nothing.
        if math.isfinite(float(value)):
            yield at - began, float(value)


def main() -> int:
    """Record and draw."""
    parser = argparse.ArgumentParser(description="the dashboard's queries over a head restart")
    parser.add_argument("--svg", type=Path, default=_PICTURE)
    parser.add_argument("--mode", choices=("native", "client"), default="native")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="srr-")))
        head = stack.enter_context(RayHead())
        address = head.gcs_address if options.mode == "native" else head.client_address
        (port,) = free_ports(1)
        service = stack.enter_context(
            Program(_SERVICE, address, str(port), str(_IDLE_S), env=head.env())
        )
        service.wait_for_mark("serving")
        prometheus = Prometheus(directory, port)
        stack.callback(prometheus.stop)
        prometheus.wait_until_ready()
        began = time.time()
        marks = _restart(head, began)
        span = Span(time.time() - began, marks)
        panels = answered(lambda query: prometheus.ask(query, began, span.seconds), _RATE_INTERVAL)
    options.svg.write_text(svg(panels, span, _caption(options.mode, span)))
    print(f"wrote {options.svg}")
    return 0


def _restart(head: RayHead, began: float) -> dict[str, float]:
    time.sleep(_IDLE_S + _WELL_S)
    head.shut()
    gone = time.time() - began
    time.sleep(_AWAY_S)
    head.start()
    back = time.time() - began
    time.sleep(_BACK_S)
    return {"the head is gone": gone, "the head is back": back}


def _caption(mode: str, span: Span) -> str:
    marks = ", ".join(f"{name} at {seconds:.0f} s" for name, seconds in span.marks.items())
    return (
        f"{span.seconds:.0f} s of a service, {mode}: {marks}. "
        f"seedcore-ray {importlib.metadata.version('seedcore-ray')}, "
        f"Ray {importlib.metadata.version('ray')}, scraped by Prometheus once a second"
    )


if __name__ == "__main__":
    sys.exit(main())
