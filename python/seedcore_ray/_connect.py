"""The thread that carries out one connect.

It is a Python thread and a daemon: while ``ray.init`` blocks, no Rust frame stands on its stack, so
the interpreter can end at any moment. What is to be done next is decided in Rust (``Driver``).
"""

from __future__ import annotations

import contextlib
import contextvars
import sys
import threading
import time

from seedcore_ray._ray import auto_connect, client_awaits
from seedcore_ray._ray.init import init
from seedcore_ray._ray.shutdown import undo

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from seedcore_ray._core import Driver, Monitor

_CHECK_INTERVAL_S = 1.0


def launch(driver: Driver) -> None:
    """Carry out a connect on a thread of its own, in the caller's context variables."""
    context = contextvars.copy_context()
    threading.Thread(
        target=context.run, args=(_run, driver), name="seedcore-ray-connect", daemon=True
    ).start()


def _run(driver: Driver) -> None:
    try:
        if driver.probe() == "import":
            _connect(driver)
    except BaseException as error:  # the callers that wait must be told, whatever it is
        driver.failed(error)


def _connect(driver: Driver) -> None:
    import ray

    auto_connect.switch_off()  # again: another thread may have been half-way through the import
    step = driver.imported(ray, sys.version.split()[0])
    while step != "done":
        step = _STEPS[step](driver, ray)
    if monitor := driver.take_monitor():
        _watch(monitor)
    if driver.starts_cluster:
        _outlive_cluster(ray)


def _watch(monitor: Monitor) -> None:
    from seedcore_ray import _monitor

    try:
        _monitor.launch(monitor)
    except RuntimeError as error:
        # A program may be at its end right after its connect: from 3.12 on, Python starts no
        # thread then, and there is nothing left to watch.
        if "interpreter shutdown" not in str(error):
            raise


def _adopt(driver: Driver, ray: Any) -> str:
    return driver.adopted(ray)


def _shut_down(driver: Driver, ray: Any) -> str:
    _undo(driver, ray)
    return driver.shut_down()


def _undo(driver: Driver, ray: Any) -> None:
    if driver.context is None:
        undo(ray)
    else:
        with contextlib.suppress(Exception):
            driver.context.disconnect()


def _init(driver: Driver, ray: Any) -> str:
    def seconds_left() -> float:
        return driver.init_seconds_left() if driver.wanted else 0.0

    connect = ray.init if driver.context is None else driver.context.connect
    try:
        init(
            lambda: connect(**driver.init_arguments()),
            lambda: _undo(driver, ray),
            seconds_left,
        )
        if driver.context is None:
            client_awaits.follow_connection()
        return driver.initialised(ray)
    except BaseException as error:
        return driver.init_failed(error)


_STEPS: dict[str, Callable[[Driver, Any], str]] = {
    "adopt": _adopt,
    "shutdown": _shut_down,
    "init": _init,
}


def _outlive_cluster(ray: Any) -> None:
    """Keep this thread for as long as the cluster that ``ray.init`` has started from it.

    Linux ends its processes with the thread that started them (``PR_SET_PDEATHSIG``, which Ray sets
    so that no cluster outlives its driver).
    """
    while ray.is_initialized():
        time.sleep(_CHECK_INTERVAL_S)
