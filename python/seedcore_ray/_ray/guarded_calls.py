"""Keeps calls that wait for the GCS from costing a native driver its process.

``ray.get_actor()``, ``ray.nodes()`` or the first ``.remote()`` of a function have no bound: one
that is pending when the GCS dies stays so, and takes the process along (docs/ray-internals.md,
"GCS-bound calls"). So while a connection is held, the methods of Ray that all of them pass are
replaced on the objects of this process, however the functions were imported:

* ``Worker.check_connected`` and ``GlobalState``'s own check first ask the GCS over our own channel;
* what that channel can answer (nodes and resources) does not enter Ray at all;
* exports of functions and classes are asked for first and bounded as well.

Calls that need no GCS pay for one look at the name of their caller.
"""

from __future__ import annotations

import inspect
import logging
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from seedcore_ray._ray import bounded_export, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from seedcore_ray._core import Guard, Monitor

# Functions of Ray that call ``Worker.check_connected`` and then wait for the GCS. ``_remote`` is
# told apart further: that of an actor class registers the actor.
_WAITING = frozenset({
    "_call_placement_group_ready", "_remote", "cancel", "get_actor", "get_placement_group", "kill",
    "list_named_actors", "placement_group", "placement_group_table", "remove_placement_group",
})  # fmt: skip

# Methods of GlobalState that only add up what other methods of it return: those are answered.
_ADDING_UP = frozenset({"available_resources", "cluster_resources"})

# GlobalState's own check, in newer and older Rays.
_STATE_CHECKS = ("_connect_and_get_accessor", "_check_connected")

_lock = threading.RLock()
_installed: _Guarded | None = None


def install(monitor: Monitor, guard: Guard) -> None:
    """Guard the calls of the connection that ``monitor`` watches, until ``remove(monitor)``."""
    global _installed
    with _lock:
        remove()
        try:
            _installed = _Guarded(monitor, guard)
        except (ImportError, AttributeError, StopIteration) as unknown:
            # Ray's insides are others. Nothing was replaced yet: it is left alone.
            logging.getLogger("seedcore_ray.monitor").debug("calls are not guarded: %r", unknown)


def remove(monitor: Monitor | None = None) -> None:
    """Leave Ray as it was. With a ``monitor``, only if its connection is the one guarded."""
    global _installed
    with _lock:
        if _installed is not None and monitor in (None, _installed.monitor):
            _installed.take_back()
            _installed = None


@contextmanager
def checked_by(check: Callable[[], None]) -> Iterator[None]:
    """Call ``check`` in the place of ``Worker.check_connected`` for a while, guarded or not."""
    from ray._private.worker import global_worker

    worker: Any = global_worker
    guarded = vars(worker).get("check_connected")
    worker.check_connected = check
    try:
        yield
    finally:
        with _lock:
            if _installed is not None and _installed.has(worker, "check_connected", guarded):
                worker.check_connected = guarded
            else:
                del worker.check_connected


class _Guarded:
    """The methods that were replaced, on the objects that Ray has one of."""

    def __init__(self, monitor: Monitor, guard: Guard) -> None:
        from ray._private.state import state
        from ray._private.worker import global_worker

        self.monitor = monitor
        self._replaced: list[tuple[Any, str, Any]] = []
        worker: Any = global_worker
        manager = worker.function_actor_manager
        check = next(name for name in _STATE_CHECKS if hasattr(state, name))
        methods = [
            (worker, "check_connected", _check_connected(worker, guard)),
            (state, check, _state_check(state, check, guard)),
            (state, "disconnect", _disconnect(state)),
            *((state, name, method) for name, method in tables.answered(state, guard).items()),
            *((manager, name, method) for name, method in bounded_export.of(manager, guard)),
        ]
        for owner, name, method in methods:
            setattr(owner, name, method)
            self._replaced.append((owner, name, method))

    def has(self, owner: Any, name: str, method: Any) -> bool:
        return any(o is owner and n == name and m is method for o, n, m in self._replaced)

    def take_back(self) -> None:
        for owner, name, method in self._replaced:
            if vars(owner).get(name) is method:
                delattr(owner, name)


def _check_connected(worker: Any, guard: Guard) -> Callable[[], None]:
    is_connected = type(worker).check_connected.__get__(worker)
    admit = guard.admit
    getframe = sys._getframe
    # Before its first export, a driver also reports to the GCS that it uses Ray: the first
    # ``.remote()`` of all is looked at here, the later ones at their export.
    exported: Any = None

    admitted = threading.local()

    def look(frame: FrameType) -> None:
        nonlocal exported
        if frame.f_code is exported:
            return
        # ``get_actor`` checks twice: again further on in the same frame.
        last, at = getattr(admitted, "last", (0, 0))
        admitted.last = id(frame), frame.f_lasti
        if last == id(frame) and at < frame.f_lasti:
            return
        admit()
        if frame.f_code is _remote_of_functions():
            exported = frame.f_code

    def check_connected() -> None:
        frame = getframe(1)
        if frame.f_code.co_name in _WAITING:
            look(frame)
        if not worker._is_connected:  # what Ray's own check reads, through two more calls
            is_connected()

    def check_connected_of_old() -> None:
        frame = getframe(1)
        if frame.f_code.co_name in _WAITING:
            look(frame)
        is_connected()

    return check_connected if hasattr(worker, "_is_connected") else check_connected_of_old


def _remote_of_functions() -> Any:
    from ray.remote_function import RemoteFunction

    return inspect.unwrap(RemoteFunction._remote).__code__


def _state_check(state: Any, name: str, guard: Guard) -> Callable[[], Any]:
    check = getattr(type(state), name).__get__(state)
    later = _Later(check, guard)

    def state_check() -> Any:
        if state.gcs_options is not None:
            if sys._getframe(1).f_code.co_name in _ADDING_UP:
                return later
            guard.admit()
        return check()

    return state_check


class _Later:
    """An accessor of Ray's that is connected when it is used."""

    def __init__(self, connect: Callable[[], Any], guard: Guard) -> None:
        self._connect = connect
        self._guard = guard

    def __getattr__(self, name: str) -> Any:
        self._guard.admit()
        return getattr(self._connect(), name)


def _disconnect(state: Any) -> Callable[[], None]:
    def disconnect() -> None:
        """Part of every ``ray.shutdown()``, whoever calls it."""
        remove()
        type(state).disconnect(state)

    return disconnect
