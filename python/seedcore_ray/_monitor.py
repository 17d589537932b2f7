"""The thread that carries out the monitor: what has to be done to Ray is done here.

It waits in Rust, detached, for a connection that is lost, and releases Ray before Ray's own
deadline ends the process. Calls of other threads that are blocked in Ray end with that. Ray would
raise ``SystemExit(0)`` in them, which ends a process with exit code 0 when it reaches the main
thread; ``_Ending`` has them raise what happened instead. Awaits of refs, which Ray would leave
pending for ever, raise the same.
"""

from __future__ import annotations

import atexit
import copy
import sys
import threading
from typing import TYPE_CHECKING, Any

from seedcore_ray import _awaits, _core, _last_words, _sigterm

if TYPE_CHECKING:
    from types import FrameType

    from seedcore_ray._errors import RayConnectionError

# Through these every call into Ray's public API goes.
_API = ("ray._private.auto_init_hook", "ray._private.client_mode_hook")

# What ray.shutdown() takes on a dead GCS (5 s, ray-facts), and as much again for a busy machine.
_RELEASE_S = 10.0
_releasing = threading.Lock()
_is_hooked = False


def launch(monitor: _core.Monitor) -> None:
    """Carry out ``monitor`` on a thread of its own, until its connection is given up."""
    _Ending.calls_with(None)  # what this connection ends, Ray ends by its own rules
    _hook_exit()
    threading.Thread(
        target=_watch, args=(monitor,), name="seedcore-ray-monitor", daemon=True
    ).start()


def _hook_exit() -> None:
    global _is_hooked
    if not _is_hooked:
        _is_hooked = True
        _last_words.keep()
        # Registered after Ray's own hook, and so run before it.
        atexit.register(_end_releases)


def _end_releases() -> None:
    """Ray's exit hook shuts it down, too: that is no loss, and never both at once."""
    _core.stop_monitor()
    _releasing.acquire(timeout=_RELEASE_S)


def forget_threads() -> None:
    """In a forked child: whoever was at it is gone."""
    global _releasing
    _releasing = threading.Lock()


def _watch(monitor: _core.Monitor) -> None:
    task = _Task(monitor)
    while (order := monitor.next()) is not None:
        if order == "release":
            _release(monitor)
        else:
            task.run()


def _release(monitor: _core.Monitor) -> None:
    blocked = ", ".join(blocked_in_ray())
    if blocked and not (monitor.always and _Ending.is_known()):
        monitor.blocked(blocked)
        return
    with _releasing:
        _shut_down(monitor, blocked)


def _shut_down(monitor: _core.Monitor, blocked: str) -> None:
    lost = _core.last_error()
    if not monitor.release_begins(blocked):
        return
    raised = None
    try:
        if lost is not None:
            _Ending.calls_with(lost)
        import ray

        _sigterm.shutdown(ray)
    except Exception as error:  # it is given up, whatever Ray says to that
        raised = f"{type(error).__name__}: {error}"
    finally:
        if lost is not None:
            _awaits.end_pending(_core.last_error() or lost)
        monitor.released(raised)


def flush_elsewhere() -> None:
    """Log what is queued: not here, where a handler that hangs would hold up the release."""
    threading.Thread(target=_core.flush_logs, name="seedcore-ray-log", daemon=True).start()


def blocked_in_ray() -> list[str]:
    """Names of the threads whose innermost Python call is one of Ray's.

    Not our own threads and not Ray's. A thread that awaits an ``ObjectRef`` is not blocked.
    """
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return [
        names.get(ident, f"thread {ident}")
        for ident, frame in sys._current_frames().items()
        if _is_rays(frame) and not _serves(frame)
    ]


def _is_rays(frame: FrameType) -> bool:
    return _module(frame).startswith("ray.")


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _serves(frame: FrameType) -> bool:
    """Whether that thread is one of Ray's or ours: whoever began it was no caller of Ray's API."""
    outermost = frame
    while frame.f_back is not None:
        frame = frame.f_back
        if _module(frame) != "threading":
            outermost = frame
    return _module(outermost).startswith(("ray.", "seedcore_ray.")) and (
        _module(outermost) not in _API
    )


class _Ending:
    """How calls end that are blocked in a native driver when Ray is released.

    Ray's native side asks a function of ``ray._raylet`` to raise (measured, 2.33 to 2.60). While a
    lost cluster is the reason, ours raises that instead.
    """

    _NAME = "raise_sys_exit_with_custom_error_message"
    _lost: RayConnectionError | None = None
    _original: Any = None

    @classmethod
    def is_known(cls) -> bool:
        """Whether this Ray has that function; without it such calls end with exit code 0."""
        return hasattr(sys.modules.get("ray._raylet"), cls._NAME)

    @classmethod
    def calls_with(cls, lost: RayConnectionError | None) -> None:
        """Raise ``lost`` in them from now on; None is Ray's own way again."""
        cls._lost = lost
        if lost is not None and cls._original is None and cls.is_known():
            raylet = sys.modules["ray._raylet"]
            cls._original = getattr(raylet, cls._NAME)
            setattr(raylet, cls._NAME, cls._raise)

    @classmethod
    def _raise(cls, *args: Any, **kwargs: Any) -> None:
        is_rays = _serves(sys._getframe())
        lost = _core.last_error() or cls._lost
        by_rays_rules = cls._lost is None or is_rays or kwargs.get("exit_code") or any(args[1:])
        if lost is None or by_rays_rules:
            cls._original(*args, **kwargs)
        else:
            raise copy.copy(lost)


class _Task:
    """A trivial task, run now and then to see whether the cluster works. One at a time."""

    def __init__(self, monitor: _core.Monitor) -> None:
        self._monitor = monitor
        self._thread: threading.Thread | None = None
        self._began = 0.0

    def run(self) -> None:
        """Run one, unless the last one is still out; one that is out for too long has failed."""
        import time

        if self._thread is not None and self._thread.is_alive():
            bound = _core.init_timeout_s()
            if time.monotonic() > self._began + bound:
                self._monitor.task_ended(f"not within {bound:g} s")
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
            ray.get(ray.remote(lambda: None).options(num_cpus=0).remote())
        except BaseException as error:  # a release ends this call, too
            self._monitor.task_ended(f"{type(error).__name__}: {error}")
        else:
            self._monitor.task_ended(None)
