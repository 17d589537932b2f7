"""For the programs of this folder: what was logged, what is held, how long things took.

It imports our modules and no ``ray``. What is logged is kept in memory, not printed, so that a
program's streams stay its own.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from seedcore.utils.ray_connector import (
    connect,
    get_connection_info,
    is_connected,
    wait_for_ray_ready,
)
from seedcore.utils.ray_utils import (
    ensure_ray_initialized,
    get_ray_cluster_info,
    get_ray_node_ip,
    is_ray_available,
    shutdown_ray,
    test_ray_connection,
)

import seedcore_ray

T = TypeVar("T")

__all__ = [
    "caught",
    "connect",
    "count_inits",
    "ensure_ray_initialized",
    "error",
    "get_connection_info",
    "get_ray_cluster_info",
    "get_ray_node_ip",
    "held",
    "is_connected",
    "is_ray_available",
    "logged",
    "namespace",
    "records",
    "seedcore_ray",
    "shutdown_ray",
    "test_ray_connection",
    "timed",
    "told_by_child",
    "wait_for_ray_ready",
]

records: list[logging.LogRecord] = []
"""Everything that our loggers said, in order."""


class _Keep(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        records.append(record)


_ours = logging.getLogger("seedcore_ray")
_ours.addHandler(_Keep())
_ours.setLevel(logging.DEBUG)
_ours.propagate = False


def logged(level: str, containing: str = "") -> list[str]:
    """The messages of this level, in order."""
    messages = [record.getMessage() for record in records if record.levelname == level]
    return [message for message in messages if containing in message]


def timed(function: Callable[..., T], *args: Any, **kwargs: Any) -> tuple[T, float]:
    """What a call returned, and the seconds that it took."""
    began = time.monotonic()
    value = function(*args, **kwargs)
    return value, time.monotonic() - began


def held() -> dict[str, Any]:
    """``seedcore_ray.connection()`` as a dict."""
    connection = seedcore_ray.connection()
    names = (name for name in dir(connection) if not name.startswith("_"))
    values = {name: getattr(connection, name) for name in names}
    probe = values["last_probe"]
    values["last_probe"] = None if probe is None else {"ok": probe.ok, "error": probe.error}
    return values


def error() -> dict[str, Any] | None:
    """``seedcore_ray.last_error()`` as a dict."""
    last = seedcore_ray.last_error()
    return None if last is None else {"message": str(last.args[0]), "text": str(last), **vars(last)}


def caught() -> dict[str, Any] | None:
    """What ``connect()`` raises, as a dict; None when it connects."""
    try:
        connect()
    except seedcore_ray.RayConnectionError as raised:
        return {"message": str(raised.args[0]), **vars(raised)}
    return None


def count_inits() -> list[dict[str, Any]]:
    """The keyword arguments of each call of ``ray.init`` from now on."""
    import ray

    calls: list[dict[str, Any]] = []
    original = ray.init

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs)
        return original(*args, **kwargs)

    ray.init = counted
    return calls


def namespace() -> str:
    """The namespace that the cluster says this process is in."""
    import ray

    return str(ray.get_runtime_context().namespace)


def told_by_child(body: Callable[[], Any]) -> Any:
    """What ``body`` returned in a forked child, or the repr of what it raised."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            told = body()
        except BaseException as raised:
            told = repr(raised)
        os.write(write, json.dumps(told).encode())
        os._exit(0)  # Ray's own exit hooks hang in a child of a connected process
    os.close(write)
    with os.fdopen(read) as answer:
        told = answer.read()
    _, status = os.waitpid(pid, 0)
    if not told:
        code = os.waitstatus_to_exitcode(status)
        raise RuntimeError(f"the child ended with {code} and said nothing")
    return json.loads(told)
