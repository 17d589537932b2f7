"""Building a lazy value, on a thread or for an event loop, and closing one.

Imported on first need, and ``asyncio`` not before something is awaited.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from seedcore_ray import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

# The builds that the running code is part of, the outermost first. It reaches tasks and threads.
_inside: contextvars.ContextVar[tuple[int, ...]] = contextvars.ContextVar(
    "seedcore_ray_builds", default=()
)


@contextmanager
def _entered(build: _core.Build[Any]) -> Iterator[None]:
    token = _inside.set((*_inside.get(), build.id))
    try:
        yield
    finally:
        build.leave()
        with suppress(ValueError):  # closed from another context, after the loop has ended
            _inside.reset(token)


def get(lazy: _core.Lazy[T]) -> T:
    """``Lazy.get`` where there is no value: built on this thread, or waited for."""
    tries = 0
    while not isinstance(step := _core.begin_build(lazy, _inside.get(), tries, True), tuple):
        if isinstance(step, _core.Build):
            tries += 1
            with _entered(step):
                step.call()
    return step[0]


async def aget(lazy: _core.Lazy[T]) -> T:
    """``Lazy.get`` without blocking the event loop.

    The factory is called on a thread of its own, in the caller's context variables; the coroutine
    of an async one is awaited here. A caller that is cancelled cancels an async factory and leaves
    a plain one to finish: its value is kept.
    """
    tries = 0
    while not isinstance(step := _core.begin_build(lazy, _inside.get(), tries, False), tuple):
        if isinstance(step, _core.Build):
            tries += 1
            with _entered(step):
                coroutine = await _on_thread(step.call)
                if coroutine is not None:
                    await _on_thread(step.keep, await coroutine)
        elif step is not None:
            await step
    return step[0]


async def _on_thread(function: Callable[..., T], *args: Any) -> T:
    """Call it on a thread of its own: all of asyncio's threads may be waiting for it."""
    import asyncio
    from concurrent.futures import Future

    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # from here on, only what awaits it can be cancelled

    def work() -> None:
        try:
            done.set_result(function(*args))
        except StopIteration as error:  # a future cannot raise it
            refused = RuntimeError("StopIteration was raised where nothing iterates")
            refused.__cause__ = error
            done.set_exception(refused)
        except BaseException as error:  # raised again where it is awaited
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
