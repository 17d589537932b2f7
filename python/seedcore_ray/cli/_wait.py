"""``seedcore-ray wait``: until Ray answers, for init containers, compose files and CI."""

from __future__ import annotations

import sys
import time

from seedcore_ray import _core
from seedcore_ray.cli._health import report
from seedcore_ray.cli._output import Console

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_REMIND_S = 10.0
# A shorter last probe would report only that it was cut off.
_LEAST_S = 0.2


def wait(address: str | None, timeout_s: float, as_json: bool) -> int:
    """Probe again and again until Ray answers.

    Args:
        address: as for a connect. A Ray of this machine that is not started yet is waited for too.
        timeout_s: for how long.
        as_json: print a document at the end.

    Returns:
        0 when Ray answers, else the exit code of the last cause; at once for one that time cannot
        cure.
    """
    began = time.monotonic()
    progress = _Progress(timeout_s, began)
    try:
        seen = _until(address, began + timeout_s, progress)
    finally:
        progress.end()
    seen["took_s"] = time.monotonic() - began
    return report("wait", seen, as_json)


def _until(address: str | None, end: float, progress: _Progress) -> dict[str, Any]:
    probe_s = _core.probe_timeout_s()
    while True:
        left = end - time.monotonic()
        seen = _core.look(address, max(_LEAST_S, min(probe_s, left)))
        left = end - time.monotonic()
        if not seen["passes"] or left <= _LEAST_S:
            return seen
        progress.show(seen["error"]["message"])
        time.sleep(min(seen["pause_s"], left - _LEAST_S))


class _Progress:
    """Why it still waits, a line for each cause; on a terminal the last one counts the seconds."""

    def __init__(self, timeout_s: float, began: float) -> None:
        self._console = Console(sys.stderr)
        self._timeout_s, self._began = timeout_s, began
        self._shown, self._shown_at = "", began

    def show(self, cause: str) -> None:
        now = time.monotonic()
        line = f"{now - self._began:.0f} of {self._timeout_s:g} s: {cause}"
        if self._console.is_terminal:
            if self._shown not in ("", cause):
                self._console.write("")  # what was waited for until now stays
            self._console.progress(f"waiting, {line}", "faint")
        elif cause != self._shown or now - self._shown_at >= _REMIND_S:
            self._console.write(f"waiting for Ray, {line}")
            self._shown_at = now
        self._shown = cause

    def end(self) -> None:
        if self._console.is_terminal and self._shown:
            self._console.write("")
