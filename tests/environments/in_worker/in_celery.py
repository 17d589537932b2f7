"""Connects where the environment says: on import, as a pool's process starts, or in the task."""

import os
import sys
from typing import Any

import ray
from celery import Celery
from celery.signals import worker_process_init
from seedcore.utils.ray_connector import connect
from seedcore.utils.ray_utils import ensure_ray_initialized

import seedcore_ray

app = Celery("in_celery", broker=os.environ["BROKER"], backend=os.environ["BROKER"])
connects = os.environ["CONNECTS"]

if connects == "on import":
    connect()


def process_begins(**_: Any) -> None:
    """Of a prefork pool, in each of its processes."""
    if connects == "as a process begins":
        connect()


def through_ray() -> dict[str, Any]:
    """Connect, or find that done, and run something."""
    before = seedcore_ray.connection().state
    connect()

    def hello() -> int:
        print("hello from ray")
        return 42

    return {
        "before": before,
        "made": ray.get(ray.remote(hello).remote()),
        "stdout": type(sys.stdout).__name__,
        "pid": os.getpid(),
    }


def told() -> dict[str, Any]:
    """Only try to connect."""
    connected = ensure_ray_initialized()
    last = seedcore_ray.last_error()
    return {"connected": connected, "kind": last and last.kind, "hint": last and last.hint}


def bare() -> str:
    """``ray.init`` without us."""
    try:
        ray.init(os.environ["RAY_ADDRESS"])
    except Exception as raised:
        return repr(raised)
    ray.shutdown()
    return "connected"


# Celery has no types: as decorators these would take away those of the functions.
worker_process_init.connect(process_begins)
for function in (through_ray, told, bare):
    app.task(function)
