"""``auto`` where several Rays run: ``_temp_dir`` says which, as in ``ray.init``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedcore_ray.testing import RayHead
from tests.support.peers import closed_port
from tests.support.scenario import play


@pytest.fixture
def other_ray(tmp_path: Path) -> Iterator[str]:
    """A raylet as Ray and we find it, by its command line; the last Ray that was started here."""
    address = f"127.0.0.1:{closed_port()}"
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray/ray_current_cluster").write_text(address)
    command = ["raylet", "-c", "input()", f"--gcs-address={address}"]
    with subprocess.Popen(command, executable=sys.executable, stdin=subprocess.PIPE) as raylet:
        yield address
        raylet.kill()


def test_temp_dir_chooses(ray_head: RayHead, other_ray: str, tmp_path: Path) -> None:
    told = play(
        """
        _, temp_dir, other = sys.argv
        without = [ensure_ray_initialized("auto", connect_timeout_s=0), error()]
        ok, took = timed(ensure_ray_initialized, "auto", _temp_dir=temp_dir)
        report(without=without, ok=ok, took=took, error=error(), held=held())
        shutdown_ray()
        import ray
        ray.init("auto", _temp_dir=temp_dir)
        report(bare=ray.get_runtime_context().gcs_address)
        """,
        str(ray_head.temp_dir),
        other_ray,
        RAY_TMPDIR=str(tmp_path),
    )
    assert told["without"][0] is False and other_ray in told["without"][1]["text"]
    assert told["ok"] is True, told["error"]
    assert told["held"]["address"] == told["bare"] == ray_head.auto_address
