"""Ray Clients beside the one that ``ray.init`` makes: each is bound to a thread while it is used.

Ray has one such client in a process, its *default context*, and a thread may use another one
instead (docs/ray-internals.md, "Several Ray Clients"). Below ``ray.init`` that works beside a
native connection, too, once three things are put right: which threads speak through a client, what
``ray.shutdown()`` of the default one ends, and that a remote function is known to each.
"""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager

from seedcore_ray._ray import client_awaits, client_functions, client_server

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_lock = threading.Lock()
_open: set[Context] = set()
# One for each server that clients are connected to.
_turns: dict[str, threading.Lock] = {}
_TURN_S = 10.0


class Context:
    """One Ray Client of its own."""

    def __init__(self) -> None:
        self.rays: Any = None
        """Ray's object for it, whose ``client_worker`` is None once it is disconnected."""

    @property
    def worker(self) -> Any:
        """Ray's worker; None while there is none."""
        return getattr(self.rays, "client_worker", None)

    def connect(self, address: str, **arguments: Any) -> None:
        """Connect as ``ray.init(address, allow_multiple=True, **arguments)`` does.

        Args:
            address: ``ray://host:port``.
            arguments: those of ``ray.init``, which writes into them.

        Raises:
            Exception: what Ray raises; nothing is left half made then.
        """
        from ray.client_builder import client
        from ray.util.client import _ClientContext

        _prepare()
        arguments.pop("ignore_reinit_error", None)  # there is none to be ignored
        builder = client(address, _deprecation_warn_enabled=False)
        builder._init_args(**{k: v for k, v in arguments.items() if v is not None})
        builder._fill_defaults_from_env()
        context = _ClientContext()
        with _lock:
            _open.add(self)
        try:
            # Packages of a runtime_env are uploaded through the context of this thread.
            with _turn(builder.address), client_awaits.used(context):
                context.connect(
                    builder.address,
                    job_config=builder._job_config,
                    metadata=builder._metadata,
                    _credentials=builder._credentials,
                    ray_init_kwargs=builder._remote_init_kwargs,
                )
        except BaseException:
            self._forget()
            raise
        self.rays = context
        client_awaits.follow(context.client_worker, context)

    def disconnect(self) -> None:
        """Disconnect; blocked calls end with Ray's ``ConnectionError``. Idempotent."""
        worker = self.worker
        try:
            if self.rays is not None:
                self.rays.disconnect()
        finally:
            if worker is not None:
                client_awaits.follow_shutdown(worker)
            self._forget()

    def hang_up(self) -> None:
        """Disconnect from a cluster that does not answer: without its farewell."""
        with client_server.hung_up(self.worker):
            self.disconnect()

    def _forget(self) -> None:
        with _lock:
            _open.discard(self)
            if not _open:
                _leave_client_mode()


@contextmanager
def _turn(server: str) -> Iterator[None]:
    """Wait while another client connects to ``server``, unless that takes long.

    The proxy forks a server process for each, and that fork fails at times while others connect
    (docs/ray-internals.md, "Probes").
    """
    with _lock:
        lock = _turns.setdefault(server, threading.Lock())
    is_ours = lock.acquire(timeout=_TURN_S)
    try:
        yield
    finally:
        if is_ours:
            lock.release()


@contextmanager
def unbound() -> Iterator[None]:
    """Let this thread use the connection that ``ray.init`` has made."""
    client = sys.modules.get("ray.util.client")
    if client is None:
        yield
        return
    with client_awaits.used(client._default_context):
        yield


def called_unbound(function: Callable[[], Any]) -> Any:
    """What ``function`` returns about the connection that ``ray.init`` has made."""
    with unbound():
        return function()


class _HookStatus(threading.local):
    """Ray's switch of a thread: whether its calls go to a Ray Client.

    Ray's own is on wherever nobody has switched it off, which together with the switch of the
    process sends all threads to the default context. Here a thread goes to a client only where it
    has one: beside a native connection, threads that are not bound stay native.
    """

    _is_off = False

    @property
    def status(self) -> bool:
        return not self._is_off and _has_client()

    @status.setter
    def status(self, value: bool) -> None:
        self._is_off = not value


def _has_client() -> bool:
    client: Any = sys.modules["ray.util.client"]
    context = getattr(client.ray._cxt, "handler", client._default_context)
    return context is not client._default_context or context.client_worker is not None


def _prepare() -> None:
    """Put Ray's switches right; once."""
    from ray._private import client_mode_hook
    from ray.util import client

    client_functions.install()
    client_functions.share(client_server.default_worker())
    with _lock:
        if isinstance(client_mode_hook._client_hook_status_on_thread, _HookStatus):
            return
        client_mode_hook._client_hook_status_on_thread = _HookStatus()
        rays = client._explicitly_disable_client_mode

        def _explicitly_disable_client_mode() -> None:
            # The default context was the last one that Ray knows of, and not the last one.
            if not _open:
                rays()

        client._explicitly_disable_client_mode = _explicitly_disable_client_mode


def _leave_client_mode() -> None:
    client: Any = sys.modules["ray.util.client"]
    if client.num_connected_contexts() == 0:
        client._explicitly_disable_client_mode()
