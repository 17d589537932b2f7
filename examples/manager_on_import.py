"""A manager that is created on import: what happens before and after ``seedcore_ray.lazy``.

``python examples/manager_on_import.py`` needs the wheel and ``ray[client]``. It starts two private
Ray heads, one after the other, and touches no other Ray on this machine.
"""

from __future__ import annotations

import logging
from typing import Any

import ray
from seedcore.utils.ray_utils import ensure_ray_initialized, shutdown_ray

import seedcore_ray
from seedcore_ray.testing import RayHead


class Desk:
    """The actor behind the manager; it lives in the cluster, under a name."""

    def submit(self, job: str) -> str:
        """Take a job."""
        return f"{job} is done"


class Manager:
    """What services write: a constructor that assumes a connection."""

    def __init__(self) -> None:
        seedcore_ray.require_ray("Manager")  # or Ray may start a cluster of its own here
        desk: Any = ray.remote(Desk)
        self.actor = desk.options(name="desk", get_if_exists=True).remote()

    def submit(self, job: str) -> str:
        """Hand the job to the actor and wait for it."""
        return str(ray.get(self.actor.submit.remote(job), timeout=30))


manager = seedcore_ray.lazy(Manager)
"""This line is run at import, with no Ray anywhere near. `manager = Manager()` would raise."""


def main() -> None:
    """Import, connect, lose the cluster, connect to the next one."""
    logging.basicConfig(level=logging.ERROR)
    _attempt("before, on import: Manager()", Manager)
    _attempt("after, used too early: manager.submit()", lambda: manager.submit("job 0"))
    with RayHead() as head:
        ensure_ray_initialized(head.gcs_address)
        old = Manager()
        _attempt("before, connected: old.submit()", lambda: old.submit("job 1"))
        _attempt("after, connected: manager.submit()", lambda: manager.submit("job 1"))
        shutdown_ray()
    with RayHead() as head:
        ensure_ray_initialized(head.gcs_address)
        _attempt("before, next cluster: old.submit()", lambda: old.submit("job 2"))
        _attempt("after, next cluster: manager.submit()", lambda: manager.submit("job 2"))
        shutdown_ray()


def _attempt(what: str, call: Any) -> None:
    try:
        answer = call()
    except Exception as error:
        lines = str(error).strip().splitlines()
        answer = f"{type(error).__name__}: {lines[0] if lines else ''}"
    print(f"{what:42} {answer}")


if __name__ == "__main__":
    main()
