"""The thread of a connection's monitor, which does to Ray what the monitor orders.

It waits in Rust, detached. When the connection is lost, Ray is released before Ray's own deadline
ends the process; when the cluster is back, it connects again.
"""

from __future__ import annotations

import atexit
import threading

from seedcore_ray import _core
from seedcore_ray._ray import client_server, excepthook, guarded_calls, release

_is_hooked = False


def launch(monitor: _core.Monitor) -> None:
    """Run ``monitor`` on a thread of its own, until its connection is given up."""
    if monitor.context is None:
        release.calls_end_by_rays_rules()
    _hook_exit()
    if not monitor.native:
        context = monitor.context
        worker = client_server.default_worker() if context is None else context.worker
        client_server.watch(worker, monitor.server_has_ended)
    if guard := _core.guard_of(monitor):
        guarded_calls.install(monitor, guard)
    threading.Thread(
        target=_watch, args=(monitor,), name="seedcore-ray-monitor", daemon=True
    ).start()


def _hook_exit() -> None:
    global _is_hooked
    if not _is_hooked:
        _is_hooked = True
        excepthook.install()
        # Registered after Ray's own hook, and so run before it.
        atexit.register(_end_releases)


def _end_releases() -> None:
    """Ray's exit hook shuts Ray down as well: not while a release does, and without a loss."""
    _core.stop_monitor()
    release.wait()


def _watch(monitor: _core.Monitor) -> None:
    task = _Task(monitor)
    while (order := monitor.next()) is not None:
        if order == "release":
            release.release(monitor)
        elif order == "reconnect":
            _core.reconnect(monitor)
        else:
            task.run()
    guarded_calls.remove(monitor)


def flush_elsewhere() -> None:
    """Log what is queued on another thread: a handler that hangs must not delay a release."""
    threading.Thread(target=_core.flush_logs, name="seedcore-ray-log", daemon=True).start()


class _Task:
    """Runs a trivial task now and then to check that the cluster works. One at a time."""

    def __init__(self, monitor: _core.Monitor) -> None:
        self._monitor = monitor
        self._thread: threading.Thread | None = None
        self._began = 0.0

    def run(self) -> None:
        """Run one, unless the last one still runs; after the init timeout that one has failed."""
        import time

        if self._thread is not None and self._thread.is_alive():
            if time.monotonic() > self._began + _core.init_timeout_s():
                self._is_late()
            return
        self._began = time.monotonic()
        self._thread = threading.Thread(
            target=self._carry_out, name="seedcore-ray-task", daemon=True
        )
        self._thread.start()

    def _carry_out(self) -> None:
        import ray

        try:
            # By value: the cluster need not have this package. No CPU: a busy cluster is healthy.
            task = ray.remote(lambda: None).options(num_cpus=0).remote()
            ray.get(task, timeout=_core.init_timeout_s())
        except ray.exceptions.GetTimeoutError:
            self._is_late()
        except BaseException as error:  # a release ends this call, too
            self._monitor.task_ended(f"{type(error).__name__}: {error}")
        else:
            self._monitor.task_ended(None)

    def _is_late(self) -> None:
        self._monitor.task_ended(f"not within {_core.init_timeout_s():g} s")
