"""The async twins: ``async def`` over the same core, for asyncio, uvloop and anyio.

Nothing here imports ``asyncio``: the awaitables belong to the running loop.
"""

from __future__ import annotations

import time

from seedcore_ray import _core
from seedcore_ray._errors import RayConnectionError

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from typing import Any


class _LeftOut(str):
    """The default namespace, told from the same one spelled out by identity."""


_LEFT_OUT = _LeftOut("seedcore-dev")


async def connect_async(
    ray_address: str | None = None,
    ray_namespace: str | None = _LEFT_OUT,
    force_reinit: bool = False,
    *,
    connect_timeout_s: float | None = None,
    **init_kwargs: Any,
) -> None:
    """Connect this process to Ray once, without blocking the event loop, or raise.

    Arguments and errors are those of ``connect``. Awaiting tasks and blocked threads share one
    ``ray.init``; cancelling one of them harms no other.

    Raises:
        RayConnectionError: not connected.
        TypeError, ValueError: for a mistake in the call.
    """
    named: dict[str, Any] = {} if ray_namespace is _LEFT_OUT else {"ray_namespace": ray_namespace}
    await _connected(
        _core.begin_connect(
            ray_address,
            force_reinit=force_reinit,
            connect_timeout_s=connect_timeout_s,
            init_kwargs=init_kwargs or None,
            **named,
        )
    )


async def ensure_ray_initialized_async(
    ray_address: str | None = None,
    ray_namespace: str | None = _LEFT_OUT,
    force_reinit: bool = False,
    *,
    connect_timeout_s: float | None = None,
    **init_kwargs: Any,
) -> bool:
    """Connect this process to Ray once, without blocking the event loop.

    Arguments, return and errors are those of ``ensure_ray_initialized``. Awaiting tasks and blocked
    threads share one ``ray.init``; cancelling one of them harms no other.
    """
    try:
        await connect_async(
            ray_address,
            ray_namespace,
            force_reinit,
            connect_timeout_s=connect_timeout_s,
            **init_kwargs,
        )
    except RayConnectionError:
        return False
    return True


async def ensure_runtime_ready() -> bool:
    """Connect from the environment without blocking the event loop.

    Returns:
        True when connected, False when not: the cause is in the log and in
        ``seedcore_ray.last_error()``. Safe to await from a readiness probe and a background task
        at once: they share one connect.
    """
    return await ensure_ray_initialized_async()


async def wait_for_ray_ready_async(max_wait_seconds: float = 5) -> bool:
    """``ray_connector.wait_for_ray_ready`` without blocking the event loop.

    Args:
        max_wait_seconds: how long, in seconds. Waits for a local Ray to be started, too.

    Returns:
        True as soon as Ray is connected and answers, False when the time is up or the cause cannot
        pass.
    """
    end = time.monotonic() + max_wait_seconds
    try:
        await connected_within(max_wait_seconds)
    except RayConnectionError:
        return False
    # A connection that was there before may be dead.
    return await _core.answers_future(max(0.0, end - time.monotonic()))


async def connected_within(wait_s: float, **asked: Any) -> None:
    """Wait until connected, for a lost or not yet started cluster as well.

    Args:
        wait_s: how long, in seconds.
        asked: what to connect to and how, as for ``_core.begin_connect``.

    Raises:
        RayConnectionError: when the time is up or the cause cannot pass.
    """
    end = time.monotonic() + wait_s
    left = wait_s
    while True:
        try:
            return await _connected(
                _core.begin_connect(connect_timeout_s=left, wait_for_local=True, **asked)
            )
        except RayConnectionError as error:
            # The monitor waits for a lost cluster.
            if error.kind != "lost" or not await _core.not_lost_future(left):
                raise
            left = max(0.0, end - time.monotonic())


async def _connected(attempt: _core.Attempt | None) -> None:
    while attempt is not None and (awaitable := attempt.join()) is not None:
        answer = await awaitable
        if answer is not False:  # False: ask again
            attempt.finish(answer)
            return
