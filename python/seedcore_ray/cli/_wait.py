"""``seedcore-ray wait``: until Ray answers, for init containers, compose files and CI."""

import sys
import time
from typing import Any

from seedcore_ray import _core
from seedcore_ray.cli._health import report
from seedcore_ray.cli._output import Paper

_REMIND_S = 10.0
# A last look that is cut off by the end would only say that it was.
_LEAST_S = 0.2


def wait(address: str | None, timeout_s: float, as_json: bool) -> int:
    """Look again and again until Ray answers.

    Args:
        address: what a connect would be given. For a Ray of this machine it waits too.
        timeout_s: for how long.
        as_json: print a document at the end.

    Returns:
        0 when Ray answers, else the number of the last cause; at once for one that time cannot
        cure.
    """
    began = time.monotonic()
    progress = _Progress(timeout_s, began)
    try:
        seen = _until(address, began + timeout_s, progress)
    finally:
        progress.end()
    seen["took_s"] = time.monotonic() - began
    report(Paper(), "wait", seen, as_json)
    return int(seen["exit_code"])


def _until(address: str | None, end: float, progress: "_Progress") -> dict[str, Any]:
    probe_s = _core.probe_timeout_s()
    while True:
        left = end - time.monotonic()
        seen = _core.look(address, max(_LEAST_S, min(probe_s, left)))
        if not seen["passes"]:
            return seen
        left = end - time.monotonic()
        if left <= _LEAST_S:
            return seen
        progress.tell(seen["error"]["message"])
        time.sleep(min(seen["pause_s"], left - _LEAST_S))


class _Progress:
    """What is waited for: one line that changes on a terminal, a line for each change elsewhere."""

    def __init__(self, timeout_s: float, began: float) -> None:
        self._paper = Paper(sys.stderr)
        self._timeout_s, self._began = timeout_s, began
        self._said = ""
        self._said_at = began

    def tell(self, cause: str) -> None:
        """Say why it still waits."""
        now = time.monotonic()
        line = f"waiting for Ray, {now - self._began:.0f} of {self._timeout_s:g} s: {cause}"
        if self._paper.is_terminal:
            self._paper.progress(line)
        elif cause != self._said or now - self._said_at >= _REMIND_S:
            self._paper.write(line)
            self._said_at = now
        self._said = cause

    def end(self) -> None:
        """Make room for what comes next."""
        if self._paper.is_terminal and self._said:
            self._paper.progress("")
