"""``uvicorn --reload``: each edit ends the connected child and spawns another."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from seedcore_ray.testing import RayHead, free_ports
from seedcore_ray.testing.processes import is_alive
from tests.support import Program, wait_until

_APP = """
import os
from fastapi import FastAPI
import ray
from seedcore_ray.fastapi import ray_lifespan

app = FastAPI(lifespan=ray_lifespan())

@app.get("/edition")
def edition():
    made = ray.get(ray.remote(lambda: 42).remote())
    return {"edition": EDITION, "pid": os.getpid(), "made": made}
"""
_SERVER = "import sys\nfrom uvicorn.main import main\nsys.argv[0] = 'uvicorn'\nmain()\n"
_PATIENCE_S = 60.0


def test_each_edition_connects_and_the_one_before_is_gone(
    ray_head: RayHead, tmp_path: Path
) -> None:
    with _reloading(ray_head, tmp_path) as url:
        first = _wait_for(url, 0)
        _write(tmp_path, 1)
        second = _wait_for(url, 1)
        assert first["made"] == second["made"] == 42
        assert not is_alive(first["pid"]) and is_alive(second["pid"])


@contextmanager
def _reloading(head: RayHead, folder: Path) -> Iterator[str]:
    _write(folder, 0)
    port = free_ports(1)[0]
    flags = ("--reload", "--reload-dir", str(folder), "--port", str(port))
    env = {"PYTHONPATH": str(folder), "RAY_ADDRESS": head.gcs_address, **head.env()}
    with Program(_SERVER, "edited:app", *flags, env=env) as server:
        yield f"http://127.0.0.1:{port}/edition"
        server.signal(signal.SIGTERM)
        assert server.finish(_PATIENCE_S).rc == 0


def _write(folder: Path, edition: int) -> None:
    # In one step: a reload in the middle of it would import half a file.
    new = folder / "edited.new"
    new.write_text(f"EDITION = {edition}\n{_APP}")
    new.replace(folder / "edited.py")


def _wait_for(url: str, edition: int) -> dict[str, Any]:
    def told() -> dict[str, Any] | None:
        try:
            answer = httpx.get(url, timeout=_PATIENCE_S)
            body: dict[str, Any] = answer.json()
        except (httpx.TransportError, json.JSONDecodeError):
            return None
        return body if body.get("edition") == edition else None

    found = wait_until(told, _PATIENCE_S, f"edition {edition}", every_s=0.1)
    assert found is not None
    return found
