"""Shuts Ray down after its cluster was lost, and ends the calls that are blocked in it.

A native driver's ``ray.shutdown()`` frees memory that a ``ray.get`` in another thread still uses:
that call ends with ``SystemExit(0)``, or spins for ever (measured, 2.60). So such calls are ended
first, if the plan allows it. While a call waits, Ray's native side asks ``sys.is_finalizing()``
once a second; on True it calls a function of ``ray._raylet`` that raises (2.44 to 2.60). During a
release we replace both, so that the call raises ``RayConnectionError``; pending awaits of refs do.
"""

from __future__ import annotations

import copy
import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from seedcore_ray import _core
from seedcore_ray._ray import client_awaits, client_server, guarded_calls, pending_refs
from seedcore_ray._ray.shutdown import shutdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from seedcore_ray._errors import RayConnectionError
    from seedcore_ray._ray.contexts import Context

# Every call of Ray's public API passes one of these modules.
_API = ("ray._private.auto_init_hook", "ray._private.client_mode_hook")
_RAISE = "raise_sys_exit_with_custom_error_message"

# Ray asks once a second; the rest is for a busy machine.
_ENDING_S = 3.0
# ray.shutdown() takes 5 s on a dead GCS (docs/ray-internals.md), twice that on a busy machine.
_SHUTDOWN_S = 10.0

_under_way = threading.Lock()
_releaser: int | None = None
_lost: RayConnectionError | None = None
_raise_by_ray: Any = None


def release(monitor: _core.Monitor) -> None:
    """Shut Ray down, unless a call is blocked in it that may not or cannot be ended."""
    if monitor.context is not None:
        _disconnect(monitor, monitor.context)
        return
    with _under_way:
        if monitor.native:
            _release_native(monitor)
        else:  # calls of a Ray Client end with a ConnectionError
            _shut_down(monitor)


def _release_native(monitor: _core.Monitor) -> None:
    if monitor.has_no_raylet and os.getppid() == 1:
        # Ray takes such a parent for a dead raylet, and ends the process in its shutdown
        # (docs/ray-internals.md, "Raylet").
        monitor.fatal()
        return
    blocked = ", ".join(blocked_in_ray())
    if blocked and not monitor.always:
        monitor.blocked(blocked)
        return
    if blocked:
        monitor.ending(blocked)
    with _calls_refused():
        # This includes calls that began since then: the shutdown would do worse to them.
        if left := _still_blocked():
            monitor.blocked(", ".join(left))
        else:
            _shut_down(monitor)


def wait() -> None:
    """Wait until no release is under way, and let none begin any more."""
    _under_way.acquire(timeout=_ENDING_S + _SHUTDOWN_S)


def forget_threads() -> None:
    """In a forked child, the thread of a release that was under way does not exist."""
    global _under_way
    _under_way = threading.Lock()


def calls_end_by_rays_rules() -> None:
    """A new connection was made: calls that end from now on are not ended by the last loss."""
    global _lost
    _lost = None


def blocked_in_ray() -> list[str]:
    """Names of the threads whose innermost Python call is one of Ray's.

    Not our own threads and not Ray's. A thread that awaits an ``ObjectRef`` is not blocked.
    """
    return [name for name, frame in _in_ray() if not _is_of(_beginning(frame), "seedcore_ray")]


def _in_ray() -> list[tuple[str, FrameType]]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return [
        (names.get(ident, f"thread {ident}"), frame)
        for ident, frame in sys._current_frames().items()
        if _is_of(_module(frame), "ray") and not _is_rays(frame)
    ]


def _still_blocked() -> list[str]:
    end = time.monotonic() + _ENDING_S
    while (threads := _in_ray()) and _can_end_calls() and time.monotonic() < end:
        time.sleep(0.02)
    return [name for name, _ in threads]


def _can_end_calls() -> bool:
    return hasattr(sys.modules.get("ray._raylet"), _RAISE)


def _disconnect(monitor: _core.Monitor, context: Context) -> None:
    lost = monitor.last_error()
    if not monitor.release_begins():
        return
    monitor.released(_give_up(context.worker, lost, context.disconnect))


def _give_up(
    worker: Any, lost: RayConnectionError | None, disconnect: Callable[[], None]
) -> str | None:
    """Call ``disconnect``; returns what it raised, in words.

    Args:
        worker: Ray's worker, where it is a Ray Client.
        lost: ends what waits for objects of that client.
        disconnect: gives the connection up.
    """
    if lost is not None and worker is not None:
        client_awaits.end_by_loss(worker, lost)  # at once: the disconnect may take seconds
    try:
        with client_server.hung_up(worker):
            disconnect()
    except Exception as error:  # it is given up, whatever Ray says to that
        return f"{type(error).__name__}: {error}"
    return None


def _shut_down(monitor: _core.Monitor) -> None:
    import ray

    lost = _core.last_error()
    if not monitor.release_begins():
        return
    raised: str | None = "it was interrupted"
    try:
        raised = _give_up(client_server.default_worker(), lost, lambda: shutdown(ray))
    finally:
        if lost is not None and not client_awaits.is_installed():
            pending_refs.end_pending(_core.last_error() or lost)
        monitor.released(raised)


@contextmanager
def _calls_refused() -> Iterator[None]:
    """Raise the loss in calls that are blocked in Ray's API, and in new ones."""
    global _lost, _raise_by_ray, _releaser
    _lost = _core.last_error()
    raylet: Any = sys.modules.get("ray._raylet")
    if _lost is None or raylet is None:
        yield
        return
    if _raise_by_ray is None and _can_end_calls():
        _raise_by_ray = getattr(raylet, _RAISE)
        setattr(raylet, _RAISE, _raise)
    from ray._private.worker import global_worker

    worker: Any = global_worker
    _releaser = threading.get_ident()
    raylet.sys = _Sys()
    try:
        with guarded_calls.checked_by(lambda: _check_connected(worker)):
            yield
    finally:
        _releaser = None
        raylet.sys = sys


def _check_connected(worker: Any) -> None:
    if _is_a_callers():
        raise _what_happened()
    type(worker).check_connected(worker)


class _Sys:
    """The ``sys`` of ``ray._raylet`` during a release: it tells waiting calls to end."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)

    def is_finalizing(self) -> bool:
        return sys.is_finalizing() or _is_a_callers()


def _raise(*args: Any, **kwargs: Any) -> None:
    says_more = kwargs.get("exit_code") or any(args[1:])
    if _lost is not None and not says_more and _is_a_callers():
        raise _what_happened()
    _raise_by_ray(*args, **kwargs)


def _what_happened() -> RayConnectionError:
    lost = _core.last_error() or _lost
    assert lost is not None  # only called during a release, or after one
    return copy.copy(lost)


def _is_a_callers() -> bool:
    """Whether this thread called Ray: not one of Ray's, and not the one that releases it."""
    return threading.get_ident() != _releaser and not _is_rays(sys._getframe())


def _is_rays(frame: FrameType) -> bool:
    began = _beginning(frame)
    return _is_of(began, "ray") and began not in _API


def _beginning(frame: FrameType) -> str:
    """The module of the function that this thread was started for."""
    outermost = frame
    while frame.f_back is not None:
        frame = frame.f_back
        if _module(frame) != "threading":
            outermost = frame
    return _module(outermost)


def _is_of(module: str, package: str) -> bool:
    return module.startswith(f"{package}.")


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
