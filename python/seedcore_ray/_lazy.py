"""What a lazy value does in Python: be made for an event loop, and be parted with.

Imported on first need, and ``asyncio`` not before somebody awaits.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from seedcore_ray import _core

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def aget(lazy: _core.Lazy[T]) -> T:
    """``Lazy.get`` without blocking the event loop.

    The factory is called on a thread of its own, in the caller's context variables; the coroutine
    of an async one is awaited here. A caller that is cancelled cancels an async factory and leaves
    a plain one to finish: its value is kept.
    """
    tries = 0
    while True:
        step = _core.begin_build(lazy, tries)
        if isinstance(step, tuple):
            return step[0]
        if not isinstance(step, _core.Build):
            await step
            continue
        tries += 1
        with step:
            coroutine = await _on_thread(step.call)
            if coroutine is not None:
                await _on_thread(step.keep, await coroutine)


async def _on_thread(function: Callable[..., T], *args: Any) -> T:
    """Call it where it may block: not on asyncio's own threads, all of which may wait for it."""
    import asyncio
    from concurrent.futures import Future

    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # from here on, only the one who awaits can be cancelled

    def work() -> None:
        try:
            done.set_result(function(*args))
        except StopIteration as error:  # nothing that is awaited can raise it
            refused = RuntimeError("StopIteration was raised where nothing iterates")
            refused.__cause__ = error
            done.set_exception(refused)
        except BaseException as error:  # whatever it is, it belongs to the caller
            done.set_exception(error)

    context = contextvars.copy_context()
    thread = threading.Thread(
        target=context.run, args=(work,), name="seedcore-ray-lazy", daemon=True
    )
    thread.start()
    return await asyncio.wrap_future(done)


def close(name: str, on_close: Callable[[Any], object], value: object) -> None:
    """Call ``on_close`` with the old value. What it raises is logged."""
    try:
        result = on_close(value)
        if hasattr(result, "__await__"):
            raise TypeError("on_close is async, and nobody awaits it")
    except Exception:
        log = logging.getLogger("seedcore_ray.lazy")
        log.exception("on_close of %s raised; the old value is given up all the same", name)
