"""``test_ray_connection`` of ``ray_utils``."""

from __future__ import annotations

from seedcore_ray import _core

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from typing import Any


def test_ray_connection() -> bool:
    """Run one trivial Ray task end to end; connects first when nobody has.

    Returns:
        True when the task came back with the right answer, False when not connected or when it
        did not within ``SEEDCORE_RAY_INIT_TIMEOUT_S`` (30 s): a first task waits for a worker
        process to start. Never raises.
    """
    import threading

    if not _core.ensure_ray_initialized():
        return False
    answer: list[Any] = []
    # Ray can block in .remote() itself on a cluster that just died, where no timeout reaches it.
    task = threading.Thread(target=_run_task, args=(answer,), daemon=True, name="seedcore-ray-test")
    try:
        task.start()
    except RuntimeError:  # the process is ending, or out of threads
        return False
    task.join(_core.init_timeout_s())
    return answer == [42]


test_ray_connection.__test__ = False  # type: ignore[attr-defined]


def _run_task(answer: list[Any]) -> None:
    import ray

    try:
        # By value: a function that can be imported is sent by name, and the cluster need not have
        # this package.
        answer.append(ray.get(ray.remote(lambda: 42).remote()))
    except Exception as error:
        import logging

        log = logging.getLogger("seedcore_ray.connect")
        log.warning("the test task failed: %s: %s", type(error).__name__, error)
