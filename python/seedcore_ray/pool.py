"""Several connections to a cluster, each used by one thread at a time.

    pool = ConnectionPool("ray://head:10001", max_size=4)
    with pool.connection():
        ray.get(task.remote())

The names and rules are those of ``psycopg_pool``. A connection is a Ray Client: a server process on
the head, which takes 1 to 2 s to start. docs/pool.md says when several help.
"""

from __future__ import annotations

import atexit
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Any, TypeVar

from seedcore_ray import _core
from seedcore_ray._core import PooledConnection
from seedcore_ray._errors import PoolClosed, PoolTimeout, TooManyRequests

__all__ = ["ConnectionPool", "PoolClosed", "PoolTimeout", "PooledConnection", "TooManyRequests"]

_Result = TypeVar("_Result")

_ELSEWHERE = (
    "a pool.connection() was left in another thread than it was entered in, and that one still "
    "uses the connection: Ray binds one to a thread. FastAPI runs a dependency with yield in any "
    "thread: enter the block in the route, and let the dependency be require_pool(pool)"
)

# How long the end of the process waits for all pools together.
_EXIT_S = 3.0


class ConnectionPool:
    """Connections to one cluster, lent to one thread at a time.

    They are made when they are needed, ``min_size`` of them in advance, and made again in the
    background when the cluster was lost. Nothing is connected before ``open``, ``connection`` or
    ``run``.
    """

    def __init__(
        self,
        address: str,
        *,
        min_size: int = 1,
        max_size: int = 4,
        timeout: float = 30.0,
        namespace: str | None = None,
        name: str | None = None,
        max_waiting: int = 0,
        max_idle: float = 600.0,
        **init_kwargs: Any,
    ) -> None:
        """Make a pool; connect nothing yet.

        Args:
            address: ``ray://host[:port]``.
            min_size: so many connections are made in advance and kept.
            max_size: so many are made at most, while callers wait.
            timeout: how long a caller waits for a connection by default, in seconds.
            namespace: Ray's namespace. None: ``SEEDCORE_NS``, else ``RAY_NAMESPACE``, else
                ``seedcore-dev``, as for the process's own connection.
            name: names the pool in logs, events and metrics. None: the address.
            max_waiting: so many callers may wait; any more are refused at once. 0: no limit.
            max_idle: a connection above ``min_size`` that nobody has used for so many seconds is
                ended.
            **init_kwargs: handed to ``ray.init`` unchanged, ``runtime_env`` for one.

        Raises:
            TypeError, ValueError: for a mistake in the call; a native address is one.
        """
        sizes = (
            _size("min_size", min_size, 0),
            _size("max_size", max_size, 1),
            _size("max_waiting", max_waiting, 0),
        )
        if min_size > max_size:
            raise ValueError(f"min_size is {min_size}, more than max_size, {max_size}")
        names = (namespace, name)
        self._core = _core.Pool(address, names, sizes, timeout, max_idle, init_kwargs)
        self._is_open = False
        self._bound = threading.local()

    @property
    def name(self) -> str:
        """The name in logs, events and metrics."""
        return self._core.name

    @property
    def address(self) -> str:
        """The address, without secrets."""
        return self._core.address

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._core.closed

    def __repr__(self) -> str:
        return f"ConnectionPool({self.name!r}, address={self.address!r})"

    def open(self, wait: bool = False, timeout: float = 30.0) -> None:
        """Begin to make connections in the background. Idempotent.

        Args:
            wait: until ``min_size`` connections are up, as ``wait`` does.
            timeout: of that, in seconds.

        Raises:
            PoolClosed: it was closed.
            RayConnectionError: this process was forked from one that had opened the pool, or had
                connected to Ray.
        """
        if not self._is_open and self._core.forked:
            # Made while a module was imported, before a server forked its workers.
            self._core = self._core.anew()
        if self._core.open():
            _keep(self._core)
        self._is_open = True
        if wait:
            self.wait(timeout)

    def wait(self, timeout: float = 30.0) -> None:
        """Wait until ``min_size`` connections are up; close the pool if they are not.

        Args:
            timeout: how long, in seconds.

        Raises:
            PoolTimeout: they were not up in time.
            RayConnectionError: none can be made, for a cause that does not pass by itself.
        """
        self.open()
        try:
            self._core.wait(timeout)
        except BaseException:
            self.close(0)
            raise

    def close(self, timeout: float = 5.0) -> None:
        """Disconnect all connections; those in use when they come back. Idempotent.

        Callers that wait get ``PoolClosed``.

        Args:
            timeout: how long to wait until all are disconnected, in seconds.
        """
        self._core.close(False)
        thread = _keepers.get(self._core)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def __enter__(self) -> ConnectionPool:
        """Open the pool."""
        self.open()
        return self

    def __exit__(self, *exc: object) -> None:
        """Close the pool."""
        self.close()

    def __del__(self) -> None:
        try:  # no name of this module is used: they may be gone when the interpreter ends
            self._core.close(False)
        except Exception:  # half made
            return

    def connection(self, timeout: float | None = None) -> AbstractContextManager[PooledConnection]:
        """Lend a connection: in the ``with`` block Ray's API works on it, in this thread.

        Refs and actor handles belong to the connection that they were made on. A nested
        ``with pool.connection()`` in the same thread uses the same one. Threads that are started
        in the block do not use it.

        Args:
            timeout: how long to wait for one, in seconds; 0 does not wait. None: the pool's.

        Raises (when the block is entered):
            PoolTimeout: none became free in time, or none could be made.
            TooManyRequests: ``max_waiting`` callers wait already.
            PoolClosed: the pool is closed.
            RayConnectionError: none can be made, for a cause that does not pass by itself; or
                the breaker is open.
            RuntimeError: an event loop runs in this thread: ``await pool.run_async(...)`` there.
        """
        return _Borrowed(self, timeout)

    def run(self, fn: Callable[..., _Result], *args: Any, **kwargs: Any) -> _Result:
        """Call ``fn`` on a connection, in this thread.

        Args:
            fn: is called with the further arguments.

        Returns:
            What ``fn`` returns. Values, not refs: a ref works only inside.

        Raises:
            RayConnectionError: as for ``connection``.
            BaseException: what ``fn`` raises.
        """
        with self.connection():
            return fn(*args, **kwargs)

    async def run_async(self, fn: Callable[..., _Result], *args: Any, **kwargs: Any) -> _Result:
        """Call ``fn`` on a connection, in a thread of its own, with this task's context variables.

        Neither the wait for a connection nor ``fn`` blocks the event loop. When the task is
        cancelled, ``fn`` goes on, and the connection comes back when it ends.

        Arguments, return and errors are those of ``run``.
        """
        import asyncio
        import contextvars
        from concurrent.futures import Future

        self.open()
        while (lent := await self._core.lend_async()) is None:
            pass  # one that somebody has ended: the pool knows now
        if isinstance(lent, BaseException):
            raise lent
        context = contextvars.copy_context()
        future: Future[_Result] = Future()

        def carry_out() -> None:
            try:
                with _Borrowed(self, None, lent):
                    future.set_result(context.run(fn, *args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        # A daemon: a call that is blocked in Ray must not hold up the end of the process.
        future.set_running_or_notify_cancel()
        threading.Thread(target=carry_out, name="seedcore-ray-run", daemon=True).start()
        return await asyncio.wrap_future(future)

    def get_stats(self) -> dict[str, float]:
        """The numbers of the pool, named as ``psycopg_pool`` names them.

        Returns:
            ``pool_min``, ``pool_max``, ``pool_size``, ``pool_available``, ``pool_in_use``,
            ``requests_waiting``, ``requests_num``, ``requests_queued``, ``requests_refused``,
            ``requests_wait_ms``, ``usage_ms``, ``connections_num``, ``connections_errors`` and
            ``connections_lost``.
        """
        return self._core.stats()


class _Borrowed:
    """One ``with pool.connection()``."""

    __slots__ = ("_before", "_connection", "_is_outer", "_pool", "_thread", "_timeout")

    def __init__(
        self, pool: ConnectionPool, timeout: float | None, lent: PooledConnection | None = None
    ) -> None:
        self._pool = pool
        self._timeout = timeout
        self._connection = lent
        self._before: Any = None
        self._is_outer = False
        self._thread = 0

    def __enter__(self) -> PooledConnection:
        if self._before is not None:
            raise RuntimeError("a pool.connection() is for one with block: call it for each")
        bound = self._pool._bound
        outer: _Borrowed | None = getattr(bound, "outer", None)
        if outer is not None and outer._connection is None:
            # It was left in another thread, which could not unbind this one.
            PooledConnection._leave(outer._before)
            outer = bound.outer = None
        connection = (outer and outer._connection) or self._lend()
        is_outer = outer is None
        try:
            self._before = connection._enter()
        except BaseException:
            if is_outer:
                connection._give_back()
            raise
        self._connection, self._is_outer = connection, is_outer
        self._thread = threading.get_ident()
        if is_outer:
            bound.outer = self
        return connection

    def _lend(self) -> PooledConnection:
        if self._connection is not None:
            return self._connection
        if not self._pool._is_open:
            self._pool.open()
        return self._pool._core.lend(self._timeout)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        connection, before = self._connection, self._before
        if connection is None or before is None:
            return
        self._connection = None
        is_here = self._thread == threading.get_ident()
        if is_here:
            self._before = None
            connection._leave(before)
        if self._is_outer:
            if is_here:
                self._pool._bound.outer = None
            connection._give_back()
        if not is_here:
            raise RuntimeError(_ELSEWHERE)


# The thread of each pool that is open.
_keepers: dict[_core.Pool, threading.Thread] = {}


def _keep(core: _core.Pool) -> None:
    atexit.unregister(_at_exit)
    atexit.register(_at_exit)
    thread = threading.Thread(target=_run, args=(core,), name="seedcore-ray-pool", daemon=True)
    _keepers[core] = thread
    try:
        thread.start()
    except BaseException:  # no thread could be started
        core.close(True)
        raise


def opened() -> list[_core.Pool]:
    """The pools of this process that have connections or make some."""
    return [core for core in list(_keepers) if not core.forked]


def _run(core: _core.Pool) -> None:
    while (ended := core.next()) is not None:
        context, answers = ended
        with suppress(Exception):  # it is given up, whatever Ray says to that
            if answers:
                context.disconnect()
            else:
                context.hang_up()
    _keepers.pop(core, None)


def _at_exit() -> None:
    """Disconnect, so that the head does not keep the server processes for a while."""
    end = time.monotonic() + _EXIT_S
    for core in list(_keepers):
        core.close(True)
    for thread in list(_keepers.values()):
        thread.join(max(0.0, end - time.monotonic()))


def _size(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not least <= value < sys.maxsize:
        raise ValueError(f"{name} must be at least {least}, not {value}")
    return value
