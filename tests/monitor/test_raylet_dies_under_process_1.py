"""A native driver that is a child of process 1, as in a container, and whose raylet dies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

_PROGRAM = """
import os, time
import seedcore_ray
from seedcore.utils.ray_utils import is_ray_available
from seedcore_ray.testing import RayHead
assert os.getppid() == 1
with RayHead() as head:
    os.environ.update(head.env())
    assert seedcore_ray.ensure_ray_initialized(head.gcs_address, "tests")
    head.kill("raylet")
    end = time.monotonic() + 60
    while seedcore_ray.connection().state != "lost" and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(2)  # Ray would end it 0.3 s after the release
    print(seedcore_ray.connection().state, is_ray_available(), flush=True)
    os._exit(7)
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="only root may make a process namespace, with unshare",
)
@pytest.mark.timeout(180)
def test_it_lives_and_says_what_to_do() -> None:
    in_namespace = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    ended = subprocess.run(
        [*in_namespace, "sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, _PROGRAM],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert ended.returncode == 7, ended.stderr[-3000:]
    assert ended.stdout.splitlines()[-1] == "lost False"
    assert "is a child of process 1" in ended.stderr
