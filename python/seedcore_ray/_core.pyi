"""The Rust core. Written by hand; `make stubs` compares it with the built module. `src/python/`
explains what is internal.

Parameters with `...` as their default can be left out, and then the environment counts.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterator
from types import GenericAlias
from typing import Any, Generic, Literal, NoReturn, TypeVar, final, overload

from seedcore_ray._errors import RayConnectionError

_T = TypeVar("_T")

__all__ = [
    "MAX_SECONDS",
    "PLATFORM",
    "VERSION",
    "Attempt",
    "Build",
    "Connection",
    "Driver",
    "Event",
    "Guard",
    "Lazy",
    "Monitor",
    "Pool",
    "PooledConnection",
    "Probe",
    "_after_fork",
    "_at_exit",
    "_empty",
    "answers_future",
    "begin_build",
    "begin_connect",
    "cluster_info",
    "connect",
    "connection",
    "connection_info",
    "effective_settings",
    "ensure_ray_initialized",
    "examine",
    "flush_logs",
    "gateway_urls",
    "generation",
    "guard_of",
    "init_timeout_s",
    "is_connected",
    "is_ray_available",
    "last_error",
    "lazy",
    "look",
    "metrics_families",
    "metrics_text",
    "not_lost_future",
    "probe_timeout_s",
    "reconnect",
    "require_ray",
    "resolve_host",
    "serve_urls",
    "shutdown_ray",
    "start_monitor",
    "stop_monitor",
    "take_events",
    "wait_for_ray_ready",
]

MAX_SECONDS: int
PLATFORM: str
VERSION: str

# Connect.

def ensure_ray_initialized(
    ray_address: str | None = None,
    ray_namespace: str | None = "seedcore-dev",
    force_reinit: bool = False,
    *,
    connect_timeout_s: float | None = None,
    **init_kwargs: Any,
) -> bool:
    """Connect this process to Ray once; True when connected.

    Args:
        ray_address: `auto`, `local`, `host:port` or `ray://host[:port]`. None or blank:
            `RAY_ADDRESS`, else `auto`. As in Ray, `RAY_ADDRESS` also replaces an explicit `auto`.
        ray_namespace: Ray's namespace. Left out or None: `SEEDCORE_NS`, else `RAY_NAMESPACE`; else
            `seedcore-dev` when left out, and Ray's anonymous namespace for None.
        force_reinit: look whether the target answers, then shut a live connection down and connect
            anew. If the target does not answer, the live connection is kept and this returns
            False. Inside a Ray worker it is refused with a warning.
        connect_timeout_s: seconds to wait for an answer; 0 looks once. Default:
            `SEEDCORE_RAY_CONNECT_TIMEOUT_S`, else 30. Once the cluster answers, `ray.init` has a
            bound of its own, `SEEDCORE_RAY_INIT_TIMEOUT_S`.
        **init_kwargs: handed to `ray.init` unchanged.

    Returns:
        True when connected, by us or by anybody else. False when not: the cause is in the log and
        in `seedcore_ray.last_error()`.

    Raises:
        TypeError, ValueError: for a mistake in the call; never for a connection problem.
    """

def connect(
    ray_address: str | None = None,
    ray_namespace: str | None = "seedcore-dev",
    force_reinit: bool = False,
    *,
    connect_timeout_s: float | None = None,
    **init_kwargs: Any,
) -> None:
    """`ensure_ray_initialized` that raises. Without arguments it connects from the environment;
    idempotent.

    Args:
        ray_address, ray_namespace, force_reinit, connect_timeout_s, **init_kwargs: those of
            `ensure_ray_initialized`.

    Raises:
        RayConnectionError: not connected; carries `kind`, `address`, `hint`, `attempts` and
            `retry_after_s`. After a failed `force_reinit` the live connection is still there.
        TypeError, ValueError: for a mistake in the call.
    """

def wait_for_ray_ready(max_wait_seconds: float = 5) -> bool:
    """Wait until connected and answering; connects when nobody has.

    Args:
        max_wait_seconds: how long, in seconds. Waits for a local Ray to be started, too. Ctrl-C
            works.

    Returns:
        True as soon as Ray answers, False when the time is up or the cause cannot pass.
    """

def shutdown_ray() -> None:
    """Disconnect. Idempotent, never raises, safe when Ray is dead.

    Refused with one warning inside a Ray worker or Serve replica: it would disconnect the worker.
    In a native driver, threads that are blocked in `ray.get` are ended by Ray with `SystemExit`;
    in client mode they get a `ConnectionError`. A connect under way is called off; if `ray.init`
    is already running, what it connects is disconnected on arrival.
    """

# Look.

def is_ray_available() -> bool:
    """Whether the cluster answers: a real control-plane round trip, bounded by the probe timeout,
    or the monitor's last look, when that was good and is not older than its interval and such a
    bound.

    Returns:
        True when this process is connected and the cluster answers: natively the GCS, in client
        mode our own session. False otherwise; it does not connect.
    """

def is_connected() -> bool:
    """Connected **and** answering; bounded by the probe timeout."""

def cluster_info() -> dict[str, Any]: ...
def connection_info() -> dict[str, Any]: ...
def connection() -> Connection:
    """What this process holds. Reads memory only: no look at the cluster."""

def last_error() -> RayConnectionError | None:
    """Why the last connect failed, as a `RayConnectionError`; None once one has succeeded, after
    `shutdown_ray`, or when nobody has asked yet. A failed `force_reinit` leaves it beside the
    connection that was kept.
    """

def generation() -> int:
    """How many connections have been made in this process. A handle made under another generation
    is dead.
    """

def init_timeout_s() -> float: ...
def probe_timeout_s() -> float: ...

@final
class Probe:
    """One look at the cluster's control plane."""

    @property
    def at(self) -> float:
        """When it ended, in seconds since the epoch."""
    @property
    def duration_s(self) -> float:
        """How long it took, in seconds."""
    @property
    def ok(self) -> bool:
        """Whether the cluster answered."""
    @property
    def error(self) -> str | None:
        """The cause when it did not."""

@final
class Connection:
    """What this process holds, and where each part of it came from."""

    @property
    def state(
        self,
    ) -> Literal["idle", "connecting", "connected", "unhealthy", "lost", "reconnecting", "failed"]:
        """`idle`, `connecting`, `connected`, `unhealthy`, `lost`, `reconnecting` or `failed`."""
    @property
    def address(self) -> str | None:
        """The address in use, or the one last tried."""
    @property
    def address_source(self) -> str | None:
        """`argument`, the name of a variable, or `default`; None for an adopted connection."""
    @property
    def stand_in(self) -> Literal["fallback", "standby"] | None:
        """`fallback` or `standby` where the address is not the one asked for; else None."""
    @property
    def namespace(self) -> str | None:
        """Ray's namespace; None is the anonymous one, or not known."""
    @property
    def namespace_source(self) -> str | None:
        """`argument`, the name of a variable, or `default`; None for an adopted connection."""
    @property
    def mode(self) -> Literal["native", "client", "adopted"] | None:
        """`native`, `client` or `adopted`."""
    @property
    def since(self) -> float | None:
        """When it was connected, in seconds since the epoch."""
    @property
    def cluster_id(self) -> str | None:
        """Hex id of the cluster; only a native connection can know it."""
    @property
    def ray_version(self) -> str | None:
        """Ray's version."""
    @property
    def last_probe(self) -> Probe | None:
        """The last look at the cluster."""
    @property
    def generation(self) -> int:
        """How many connections this process has made."""

# Stay connected.

def start_monitor(
    interval_s: float = 5.0,
    misses: int = 3,
    reconnect: bool = True,
    release: Literal["auto", "always", "never"] | None = None,
    deep: bool = False,
) -> None:
    """Watch the connection of this process, or the next one, like that.

    The monitor is on by default (`SEEDCORE_RAY_HEALTH_INTERVAL_S`) in drivers whose connection we
    made; never in Ray workers and Serve replicas, for `local`, or for connections that somebody
    else made.

    Args:
        interval_s: seconds between two looks while all is well; left out,
            `SEEDCORE_RAY_HEALTH_INTERVAL_S`, or 5 where that is 0.
        misses: looks in a row without an answer that make the connection unhealthy. A port that
            refuses is asked again at once and counts after three.
        reconnect: connect again after a loss; False only reports it.
        release: whether Ray may be shut down to save a native driver from being ended by Ray (60 s
            after its GCS died). `auto`: only while no thread is blocked inside Ray. `always`: a
            `ray.get` or `ray.wait` that is blocked is ended first, with a `RayConnectionError` of
            kind `lost` (Ray 2.44 and newer). `never`: Ray is left to itself. None: `always` where
            this Ray's calls can be ended, from 2.44 on, else `auto`.
        deep: run a trivial task with each look, too.

    Raises:
        TypeError, ValueError: for a mistake in the call.
    """

def stop_monitor() -> None:
    """Stop watching. A cluster that is lost from now on is lost as with bare Ray; a reconnect that
    is waiting for one is given up.
    """

def take_events() -> list[Event]: ...

@final
class Event:
    """Something that happened to the connection of this process."""

    @property
    def name(
        self,
    ) -> Literal[
        "connected", "unhealthy", "recovered", "lost", "reconnected", "failed", "shutdown"
    ]:
        """`connected`, `unhealthy`, `recovered`, `lost`, `reconnected`, `failed` or `shutdown`."""
    @property
    def at(self) -> float:
        """When, in seconds since the epoch."""
    @property
    def generation(self) -> int:
        """How many connections this process had made by then."""
    @property
    def address(self) -> str:
        """The address."""
    @property
    def pool(self) -> str | None:
        """The name of the pool whose connection it is; None for the process's own."""
    @property
    def cause(self) -> RayConnectionError | None:
        """A `RayConnectionError` for `unhealthy`, `lost` and `failed`, and for a `connected` or
        `reconnected` where another address stands in for the one that was asked for; else None.
        """
    @property
    def after_s(self) -> float | None:
        """How many seconds the state that ended here had lasted: the connection for `lost` and
        `shutdown`, the silence for `recovered`, the absence for `reconnected`; else None.
        """

@final
class Monitor:
    @property
    def native(self) -> bool: ...
    @property
    def always(self) -> bool: ...
    def next(self) -> Literal["release", "reconnect", "task"] | None: ...
    @property
    def has_no_raylet(self) -> bool: ...
    def fatal(self) -> None: ...
    def ending(self, threads: str) -> None: ...
    def release_begins(self) -> bool: ...
    def released(self, error: str | None) -> None: ...
    def blocked(self, threads: str) -> None: ...
    @property
    def context(self) -> Any | None: ...
    def last_error(self) -> RayConnectionError | None: ...
    def server_has_ended(self) -> None: ...
    def task_ended(self, error: str | None) -> None: ...

@final
class Guard:
    def admit(self) -> None: ...
    def rows(
        self, table: Literal["nodes", "total_resources", "available_resources"]
    ) -> list[bytes] | None: ...

def guard_of(monitor: Monitor) -> Guard | None: ...

# Several connections (pool.py).

@final
class Pool:
    def __new__(
        cls,
        address: str,
        names: tuple[str | None, str | None],
        sizes: tuple[int, int, int],
        timeout: float,
        max_idle: float,
        init_kwargs: dict[str, Any],
    ) -> Pool: ...
    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def closed(self) -> bool: ...
    @property
    def forked(self) -> bool: ...
    def anew(self) -> Pool: ...
    def open(self) -> bool: ...
    def lend(self, timeout_s: float | None = None) -> PooledConnection: ...
    def lend_async(self) -> Awaitable[PooledConnection | RayConnectionError | None]: ...
    def wait(self, timeout_s: float) -> None: ...
    def next(self) -> tuple[Any, bool] | None: ...
    def close(self, at_once: bool) -> None: ...
    def absence(self) -> RayConnectionError | None: ...
    def stats(self) -> dict[str, float]: ...

@final
class PooledConnection:
    """A connection that a pool has lent."""

    @property
    def pool(self) -> str:
        """The name of the pool."""
    @property
    def address(self) -> str:
        """The address, without secrets."""
    @property
    def number(self) -> int:
        """Counts the connections of the pool."""
    def _enter(self) -> Any: ...
    @staticmethod
    def _leave(before: Any) -> None: ...
    def _give_back(self) -> None: ...

# What the command line shows. Connects nothing, and neither obeys nor opens the breaker.

def look(ray_address: str | None = None, timeout_s: float | None = None) -> dict[str, Any]: ...
def examine(
    ray_address: str | None = None,
    timeout_s: float | None = None,
    ray_version: str | None = None,
    not_served: str | None = None,
) -> dict[str, Any]: ...
def effective_settings() -> list[dict[str, Any]]: ...

# Metrics.

def metrics_text() -> str:
    """All metrics of this process as OpenMetrics 1.0 text. Reads memory only.

    Returns:
        Text that ends in `# EOF`; its content type is `seedcore_ray.metrics.CONTENT_TYPE`.
    """

def metrics_families() -> list[
    tuple[str, str, str, str, list[tuple[str, dict[str, str], float]]]
]: ...

# Need.

def require_ray(what: str | None = None) -> None:
    """Make sure that this process is connected to Ray, for a constructor that assumes it.

    Never connects by itself and never blocks: reads memory only.

    Args:
        what: what needs the connection, for the error.

    Raises:
        RayNotReadyError: there is no connection at the moment; carries the reason.
    """

@overload
def lazy(
    factory: Callable[[], Coroutine[Any, Any, _T]],
    name: str | None = None,
    *,
    on_close: Callable[[_T], object] | None = None,
) -> Lazy[_T]: ...
@overload
def lazy(
    factory: Callable[[], _T],
    name: str | None = None,
    *,
    on_close: Callable[[_T], object] | None = None,
) -> Lazy[_T]:
    """Declare what must exist only after Ray does: it is made on first use.

    Declaring it calls nothing and needs no connection, so it may stand where modules are imported.
    The first use while connected makes the value, once, however many threads come at once; the
    first use after a reconnect makes it anew, since handles of another connection are dead. A use
    never connects: without a connection it raises.

    Args:
        factory: makes the value, without arguments; a class, a function, or an `async def`, whose
            value the first use has to await (`aget`).
        name: what errors and logs call it. Default: the factory's own name.
        on_close: called with the old value when a new one is about to be made, and by `reset`. What
            it raises is logged.

    Returns:
        A `Lazy`, to be used as if it were the value.

    Raises:
        TypeError: `factory` or `on_close` cannot be called.
    """

@final
class Lazy(Generic[_T]):
    """What must exist only after Ray does: made on first use, made anew after a reconnect.

    Attributes, calls and items are those of the value, except `get`, `aget` and `reset`. A name
    with a leading underscore is looked up on a made value only, so that tools which inspect every
    object make nothing. Equality and hash are the Lazy's own, so that they outlast the value.
    """

    def get(self) -> _T:
        """The value itself: for `isinstance`, for code that needs its type, for `with`.

        Waits while another thread makes it; Ctrl-C ends the wait.

        Raises:
            RayNotReadyError: there is no connection to Ray at the moment.
            RuntimeError: its own factory asks for it, or the factory is async and `aget` has not
                been awaited.
            Exception: what the factory raised. Each caller that waited for it tries the factory in
                turn.
        """
    @property
    def aget(self) -> Callable[[], Coroutine[Any, Any, _T]]:
        """The value, without blocking the event loop: a plain factory is called on a thread, an
        async one is awaited. Raises as `get` does.
        """
    def reset(self) -> None:
        """Forget the value, which goes to `on_close`: the next use makes a new one."""
    def __class_getitem__(cls, key: Any) -> GenericAlias: ...
    def __getattribute__(self, name: str, /) -> Any: ...
    def __setattr__(self, name: str, value: Any, /) -> None: ...
    def __delattr__(self, name: str, /) -> None: ...
    def __dir__(self) -> list[str]: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __bool__(self) -> bool: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __contains__(self, item: object, /) -> bool: ...
    def __getitem__(self, key: Any, /) -> Any: ...
    def __setitem__(self, key: Any, item: Any, /) -> None: ...
    def __delitem__(self, key: Any, /) -> None: ...
    def __copy__(self) -> Lazy[_T]: ...
    def __deepcopy__(self, _memo: Any) -> Lazy[_T]: ...
    def __reduce_ex__(self, _protocol: Any) -> NoReturn: ...

# For the facades: the URLs of Ray Serve.

def gateway_urls() -> dict[str, str]: ...
def serve_urls(
    gateway: str, ml_base: str | None = None, cog_base: str | None = None
) -> dict[str, str]: ...
def resolve_host(text: str) -> str | None: ...

# For the rest of this package: what an event loop waits for, and the thread of a connect.

def answers_future(wait_s: float) -> Awaitable[bool]: ...
def not_lost_future(wait_s: float) -> Awaitable[bool]: ...
def reconnect(monitor: Monitor) -> None: ...
def begin_connect(
    ray_address: str | None = None,
    ray_namespace: str | None = ...,
    force_reinit: bool | None = None,
    connect_timeout_s: float | None = None,
    init_kwargs: dict[str, Any] | None = None,
    wait_for_local: bool = False,
) -> Attempt | None: ...

@final
class Attempt:
    def join(self) -> Awaitable[bool | RayConnectionError] | None: ...
    def finish(self, answer: bool | RayConnectionError) -> None: ...

@final
class Driver:
    @property
    def context(self) -> Any | None: ...
    @property
    def starts_cluster(self) -> bool: ...
    @property
    def wanted(self) -> bool: ...
    def probe(self) -> str: ...
    def imported(self, ray: Any, python_version: str) -> str: ...
    def adopted(self, ray: Any) -> str: ...
    def shut_down(self) -> str: ...
    def init_arguments(self) -> dict[str, Any]: ...
    def init_seconds_left(self) -> float: ...
    def initialised(self, ray: Any) -> str: ...
    def init_failed(self, error: BaseException) -> str: ...
    def failed(self, error: BaseException) -> None: ...
    def take_monitor(self) -> Monitor | None: ...

def flush_logs() -> None: ...
def begin_build(
    lazy: Lazy[_T], inside: tuple[int, ...], tries: int, blocks: bool
) -> tuple[_T] | Build[_T] | Awaitable[object] | None: ...

@final
class Build(Generic[_T]):
    @property
    def id(self) -> int: ...
    def call(self) -> Coroutine[Any, Any, _T] | None: ...
    def keep(self, value: _T) -> None: ...
    def leave(self) -> None: ...

# Hooks of the interpreter, and the price of a call into this module.

def _after_fork() -> None: ...
def _at_exit() -> None: ...
def _empty() -> bool: ...
