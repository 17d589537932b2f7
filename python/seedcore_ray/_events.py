"""Callbacks for what happens to the connection.

They run on a thread of their own, one after the other, so that neither a slow one nor one that
raises can hold up the monitor.
"""

from __future__ import annotations

import logging
import queue
import threading
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from seedcore_ray import _core

if TYPE_CHECKING:
    import asyncio

_log = logging.getLogger("seedcore_ray.events")

# A loop that was stopped and never closed runs nothing any more: no reason to deliver nothing more.
_PATIENCE_S = 60.0

_Callback = TypeVar("_Callback", bound="Callable[[_core.Event], Any]")


class _Listener:
    """One callback, and the event loop it was registered on."""

    def __init__(self, callback: Callable[[_core.Event], Any]) -> None:
        self._get: Callable[[], Callable[[_core.Event], Any] | None]
        if hasattr(callback, "__self__") and hasattr(callback, "__func__"):
            self._get = weakref.WeakMethod(callback)
        else:
            self._get = lambda: callback
        self._loop = _running_loop()

    def is_for(self, callback: Callable[[_core.Event], Any]) -> bool:
        return self._get() == callback

    @property
    def is_dead(self) -> bool:
        return self._get() is None

    def hear(self, event: _core.Event) -> None:
        callback = self._get()
        if callback is None:
            return
        answer = callback(event)
        if isinstance(answer, Awaitable):
            self._await(answer)

    def _await(self, answer: Awaitable[Any]) -> None:
        import asyncio

        async def wait() -> None:
            await answer

        if self._loop is not None and not self._loop.is_closed():
            # In order, but no faster than its loop: the next event waits for this one.
            asyncio.run_coroutine_threadsafe(wait(), self._loop).result(_PATIENCE_S)
        else:
            asyncio.run(wait())


def _running_loop() -> asyncio.AbstractEventLoop | None:
    import asyncio

    return asyncio._get_running_loop()


# A signal handler or a finalizer may call in here on a thread that is in here already.
_lock = threading.RLock()
_listeners: list[_Listener] = []
# Each event with those who listened when it happened.
_events: queue.SimpleQueue[tuple[_core.Event, list[_Listener]]] = queue.SimpleQueue()
_thread: threading.Thread | None = None


def on_event(callback: _Callback) -> _Callback:
    """Have ``callback(event)`` called for whatever happens to the connection from now on.

    Args:
        callback: takes one ``Event``; its ``name`` is ``connected``, ``unhealthy``, ``recovered``,
            ``lost``, ``reconnected`` or ``failed``. Called in order on a thread of ours, never two
            at once. An ``async def`` runs on the event loop that is running now, or, where none is,
            on one of its own. A bound method is held weakly: it goes with its object.

    Returns:
        ``callback``, so that this can be used as a decorator.

    An exception in it is logged (``seedcore_ray.events``) and changes nothing else.
    """
    if not callable(callback):
        raise TypeError(f"on_event takes a callable, not {type(callback).__name__}")
    with _lock:
        deliver()  # what happened before is not for this one
        _listeners.append(_Listener(callback))
    return callback


def off_event(callback: Callable[[_core.Event], Any]) -> None:
    """Call ``callback`` no more; one that was never registered is no error."""
    for listener in list(_listeners):
        if listener.is_for(callback):
            _remove(listener)


def _remove(listener: _Listener) -> None:
    # One by one, not a new list: whoever interrupts may have changed the old one.
    with suppress(ValueError):
        _listeners.remove(listener)


def deliver() -> None:
    """Hand over what has happened. Called by Rust whenever something may have."""
    global _thread
    with _lock:
        for event in _core.take_events():
            if _listeners:
                _events.put((event, list(_listeners)))
        if _thread is None and not _events.empty():
            thread = threading.Thread(target=_run, name="seedcore-ray-events", daemon=True)
            with suppress(RuntimeError):  # the process is ending, or out of threads
                thread.start()
                _thread = thread


def _run() -> None:
    while True:
        event, listeners = _events.get()
        for listener in listeners:
            if listener.is_dead:
                _remove(listener)
            elif listener in _listeners:
                _tell(listener, event)


def _tell(listener: _Listener, event: _core.Event) -> None:
    try:
        listener.hear(event)
    except BaseException:
        _log.exception("a callback for %r failed", event)


def forget_threads() -> None:
    """In a forked child: the callbacks stay, the thread and whatever it held are gone."""
    global _lock, _events, _thread
    _lock = threading.RLock()
    _events = queue.SimpleQueue()
    _thread = None
