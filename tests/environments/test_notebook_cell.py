"""A real notebook kernel runs each cell inside its own event loop, on the main thread."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest
from jupyter_client.manager import KernelManager

from seedcore_ray.testing import RayHead
from tests.support import SilentListener
from tests.support.programs import clean_env

_IMPORTS = """
import json, time, logging
from seedcore.utils.ray_utils import ensure_ray_initialized
import seedcore_ray
lines = []
class Keep(logging.Handler):
    def emit(self, record): lines.append(record.getMessage())
logging.getLogger("seedcore_ray").addHandler(Keep())
began = time.monotonic()
"""
_REPORT = """
error = seedcore_ray.last_error()
print("@" + json.dumps({"ok": ok, "kind": error and error.kind, "lines": lines,
                        "seconds": time.monotonic() - began}))
"""


def _cell(home: Path, source: str, interrupt: bool = False) -> dict[str, Any]:
    """What one cell reported; interrupted as the stop button does, once it is inside."""
    kernel = KernelManager()
    cell = {"cell_type": "code", "source": _IMPORTS + source + _REPORT}
    cells: list[dict[str, Any]] = [{**cell, "metadata": {}, "outputs": [], "execution_count": None}]
    text = json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells})
    book: Any = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]  # it has no types
    client = nbclient.NotebookClient(book, km=kernel, timeout=90)
    stop = threading.Event()
    inside = home / "inside"
    if interrupt:
        threading.Thread(target=_interrupt, args=(kernel, inside, stop), daemon=True).start()
    try:
        client.execute(env=clean_env(home, {"INSIDE": str(inside)}))
    finally:
        stop.set()
    outputs = book.cells[0].outputs
    text = "".join(output.get("text", "") for output in outputs)
    line = next(line for line in text.splitlines() if line.startswith("@"))
    fields: dict[str, Any] = json.loads(line[1:])
    return fields


def _interrupt(kernel: Any, inside: Path, stop: threading.Event) -> None:
    while not inside.exists() and not stop.is_set():
        time.sleep(0.02)
    if not stop.wait(0.5):  # the call has begun to wait by now, or begins with the signal pending
        os.kill(kernel.provisioner.process.pid, signal.SIGINT)


@pytest.mark.parametrize("mode", ["native", "client"])
def test_a_cell_has_the_normal_bounds_and_no_warning(
    ray_head: RayHead, tmp_path: Path, mode: str
) -> None:
    address = ray_head.gcs_address if mode == "native" else ray_head.client_address
    told = _cell(tmp_path, f"ok = ensure_ray_initialized({address!r})")
    assert told["ok"] is True, told
    assert not [line for line in told["lines"] if "event loop" in line]


def test_a_cell_waits_as_long_as_it_says(tmp_path: Path) -> None:
    with SilentListener() as silent:
        told = _cell(
            tmp_path, f"ok = ensure_ray_initialized({silent.address!r}, connect_timeout_s=7)"
        )
    assert (told["ok"], told["kind"]) == (False, "timeout")
    assert told["seconds"] > 6, "a thread whose event loop is running would have waited for 5 s"


def test_the_stop_button_ends_the_wait(tmp_path: Path) -> None:
    with SilentListener() as silent:
        told = _cell(
            tmp_path,
            f"""
import os, pathlib
pathlib.Path(os.environ["INSIDE"]).touch()
try:
    ok = ensure_ray_initialized({silent.address!r}, connect_timeout_s=80)
except KeyboardInterrupt:
    ok = "interrupted"
""",
            interrupt=True,
        )
    assert told["ok"] == "interrupted" and told["seconds"] < 60
