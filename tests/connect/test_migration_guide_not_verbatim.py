"""The two programs of the migration guide, as they stand there."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support import run_program

_GUIDE = """
from seedcore.utils.ray_utils import ensure_ray_initialized
print('Success:', ensure_ray_initialized())"""
_DEBUG = "import logging; logging.basicConfig(level=logging.DEBUG)"


@pytest.mark.parametrize("first_line", ["", _DEBUG], ids=["quiet", "debug"])
@pytest.mark.parametrize("mode", ["client", "auto"])
def test_a_guide_program_connects(ray_head: RayHead, mode: str, first_line: str) -> None:
    env = {"RAY_ADDRESS": ray_head.client_address} if mode == "client" else ray_head.env()
    ended = run_program(first_line + _GUIDE, env=env).ok()
    assert "Success: True\n" in ended.stdout
    shown = [line for line in ended.stderr.splitlines() if "seedcore_ray" in line]
    if not first_line:
        assert shown == []
        return
    address = ray_head.client_address if mode == "client" else ray_head.auto_address
    connected = [line for line in shown if line.startswith("INFO:seedcore_ray.connect:connected")]
    assert len(connected) == 1
    assert address in connected[0] and "seedcore-dev" in connected[0]
    assert any(line.startswith("DEBUG:seedcore_ray.probe:") for line in shown)
