"""A pod whose only address is an IPv6 one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

_ADDRESS = "fd00:5eed::7"
_NETWORK = f"""
ip link set lo up && ip -6 addr add {_ADDRESS}/128 dev lo nodad && ip -6 route add default dev lo ||
exit 99
exec "$@"
"""


def test_the_node_ip_is_found() -> None:
    if os.geteuid() != 0 or not (shutil.which("unshare") and shutil.which("ip")):
        pytest.skip("needs root, unshare and ip for a network of its own")
    program = "from seedcore.utils.ray_utils import get_ray_node_ip; print(get_ray_node_ip())"
    network = ["unshare", "--net", "sh", "-c", _NETWORK, "sh"]
    env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    ran = subprocess.run(
        [*network, sys.executable, "-c", program], env=env, capture_output=True, text=True
    )
    if ran.returncode == 99:
        pytest.skip(f"no IPv6 here: {ran.stderr}")
    assert (ran.stdout.strip(), ran.stderr) == (_ADDRESS, "")
