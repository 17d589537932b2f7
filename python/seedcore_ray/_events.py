"""Callbacks for events of the connection.

They run one after the other on a thread of their own, so that none of them can hold up the monitor.
"""

from __future__ import annotations

import logging
import queue
import threading
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from seedcore_ray import _core

_log = logging.getLogger("seedcore_ray.events")

# A loop that was stopped and never closed runs nothing any more. The other callbacks go on.
_PATIENCE_S = 60.0

_AnyCallback = Callable[[_core.Event], Any]
_Callback = TypeVar("_Callback", bound=_AnyCallback)


class _Listener:
    """One callback, and the event loop it was registered on."""

    def __init__(self, callback: _AnyCallback) -> None:
        import asyncio

        self.get: Callable[[], _AnyCallback | None] = lambda: callback
        if hasattr(callback, "__self__") and hasattr(callback, "__func__"):
            self.get = weakref.WeakMethod(callback)
        self._loop = asyncio._get_running_loop()

    def tell(self, event: _core.Event) -> None:
        try:
            if (callback := self.get()) is not None:
                answer = callback(event)
                if isinstance(answer, Awaitable):
                    self._await(answer)
        except BaseException:
            _log.exception("a callback for %r failed", event)

    def _await(self, answer: Awaitable[Any]) -> None:
        import asyncio

        async def wait() -> None:
            await answer

        if self._loop is not None and not self._loop.is_closed():
            # In order, but no faster than its loop: the next event waits for this one.
            asyncio.run_coroutine_threadsafe(wait(), self._loop).result(_PATIENCE_S)
        else:
            asyncio.run(wait())


# A signal handler or a finalizer may call in here on a thread that is in here already.
_lock = threading.RLock()
_listeners: list[_Listener] = []
# Each event with the callbacks that were registered when it happened.
_events: queue.SimpleQueue[tuple[_core.Event, list[_Listener]]] = queue.SimpleQueue()
_thread: threading.Thread | None = None


def on_event(callback: _Callback) -> _Callback:
    """Call ``callback(event)`` for every event of the connection from now on.

    Args:
        callback: takes one ``Event``; its ``name`` is ``connected``, ``unhealthy``, ``recovered``,
            ``lost``, ``reconnected``, ``failed`` or ``shutdown``. Called in order on a thread of
            ours, never two at once. An ``async def`` runs on the event loop that is running now,
            or, if none is, on one of its own. A bound method is held weakly: it goes with its
            object.

    Returns:
        ``callback``, so that this can be used as a decorator.

    An exception in it is logged (``seedcore_ray.events``) and changes nothing else.
    """
    if not callable(callback):
        raise TypeError(f"on_event takes a callable, not {type(callback).__name__}")
    with _lock:
        deliver()  # earlier events are not for this one
        _listeners.append(_Listener(callback))
    return callback


def off_event(callback: _AnyCallback) -> None:
    """Call ``callback`` no more. One that was never registered is no error."""
    for listener in list(_listeners):
        if listener.get() == callback:
            _remove(listener)


def _remove(listener: _Listener) -> None:
    # In place, not a new list: a signal handler may have changed the old one meanwhile.
    with suppress(ValueError):
        _listeners.remove(listener)


def deliver() -> None:
    """Hand new events to the thread. Called by Rust whenever there may be some."""
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
            if listener.get() is None:
                _remove(listener)
            elif listener in _listeners:
                listener.tell(event)


def forget_threads() -> None:
    """Keep the callbacks in a forked child, without the thread and what it held."""
    global _lock, _events, _thread
    _lock = threading.RLock()
    _events = queue.SimpleQueue()
    _thread = None
