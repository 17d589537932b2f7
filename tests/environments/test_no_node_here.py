"""A native driver needs a node of the cluster on its own machine, or in its own container."""

from __future__ import annotations

import os

import pytest

from seedcore_ray.testing import RayHead
from tests.support.scenario import RAY_VERSION, run

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="hides the raylet in a process namespace: root"),
    pytest.mark.skipif(
        tuple(map(int, RAY_VERSION.split(".")[:2])) < (2, 55),
        reason="this Ray finds the node by its IP address, so it connects",
    ),
]


def test_the_cause_comes_before_ray_init(ray_head: RayHead) -> None:
    """Another process namespace hides the raylet as a container does; bare Ray takes a minute."""
    told = run(
        """
ok, seconds = timed(ensure_ray_initialized, sys.argv[1])
report(ok=ok, seconds=seconds, error=caught(), imported="ray" in sys.modules,
       waited=wait_for_ray_ready(0.5))
""",
        ray_head.gcs_address,
        private_pids=True,
        env={"RAY_ADDRESS": ray_head.gcs_address},
    ).ok()
    fields = told.fields
    assert (fields["ok"], fields["waited"], fields["error"]["kind"]) == (
        False,
        False,
        "no_local_node",
    )
    assert "ray://" in fields["error"]["hint"]
    assert not fields["imported"], "it is known before ray.init, in milliseconds"


def test_ray_client_needs_none(ray_head: RayHead) -> None:
    told = run(
        """
report(ok=ensure_ray_initialized(sys.argv[1]))
""",
        ray_head.client_address,
        private_pids=True,
    ).ok()
    assert told.fields["ok"] is True


def test_the_doctor_says_where_the_nodes_are(ray_head: RayHead) -> None:
    told = run(
        """
import contextlib, io
from seedcore_ray.cli import main
sys.argv = ["seedcore-ray", "doctor", os.environ["HEAD"]]
printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    try:
        code = main()
    except SystemExit as ended:
        code = ended.code
report(code=code, printed=printed.getvalue())
""",
        private_pids=True,
        env={"HEAD": ray_head.gcs_address},
    ).ok()
    assert told.fields["code"] == 32
    assert "none of its nodes" in told.fields["printed"]
