"""Programs that are connected and stay so, watched closely and with little patience."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seedcore_ray.testing import RayHead
from tests.support import Program, scenario

# Ray ends a driver 20 s after its GCS, and we wait for no more than 6.
SHORT = {"RAY_gcs_rpc_server_reconnect_timeout_s": "20", "SEEDCORE_RAY_LOSS_GRACE_S": "6"}

# Marks "up" once it is connected, with an actor handle from then.
_CONNECT = """
from monitoring import *
import ray
seedcore_ray.on_event(hear)
class Counter:
    def ping(self):
        return 42
def task():
    return ray.get(ray.remote(lambda: 42).options(num_cpus=0).remote(), timeout=30)
def connected(address, init_kwargs={}, **monitor):
    seedcore_ray.start_monitor(**{"interval_s": 0.5, **monitor})
    assert ensure_ray_initialized(address, **init_kwargs), error()
    handle = ray.remote(Counter).options(num_cpus=0).remote()
    assert ray.get(handle.ping.remote()) == 42
    mark("up")
    return handle
"""


def start(source: str, *args: str, env: Mapping[str, str] | None = None) -> Program:
    """A program that may call ``connected(address, **monitor)``; has ``kit`` and ``monitoring``."""
    return scenario.start(_CONNECT + source, *args, env={**SHORT, **(env or {})})


def address_of(head: RayHead, mode: str) -> str:
    """Where a service of that mode connects to."""
    return head.gcs_address if mode == "native" else head.client_address


def play(source: str, *args: str, deadline_s: float = 60.0, **env: str) -> dict[str, Any]:
    """Run a program that has ``kit`` and ``monitoring`` and ends with 0; what it reported."""
    source = "from monitoring import *\n" + source
    return scenario.play(source, *args, deadline_s=deadline_s, **env)
