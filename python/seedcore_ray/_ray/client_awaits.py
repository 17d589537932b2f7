"""Awaits of a Ray Client's refs that never block the event loop.

A ref gets its id from the server's answer to ``.remote()``. Ray waits for that answer, on the
thread that asks, where a ref is awaited, dropped, hashed or shown: on an event loop, as long as a
lost channel reconnects (30 s). Here Ray's waiting becomes a callback of the answer
(docs/ray-internals.md, "Ray Client refs"). Where Ray's names differ, nothing is changed.
"""

from __future__ import annotations

import copy
import sys
import threading
import weakref
from contextlib import contextmanager, suppress
from functools import partial

from seedcore_ray._ray import client_functions, client_server

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from typing import Any

_NO_LONGER = "This Ray Client has been disconnected; what was made with it is gone."

# What waits for an object, with Ray's callback. Taking one out of it is the right to call it.
_pending: dict[_Once, Callable[[Any], None]] = {}
# What Ray had in the place of each patch; None where it was inherited.
_originals: dict[tuple[type, str], Any] = {}
# The clients that are followed, by Ray's worker, with Ray's context of each.
_contexts: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
# By what a client was lost, until there is another one in the same context: its refs are awaited
# still.
_losses: weakref.WeakKeyDictionary[Any, Exception] = weakref.WeakKeyDictionary()


def follow_connection() -> None:
    """``ray.init`` has connected: patch Ray if it is a Ray Client, else leave Ray as it was."""
    context = getattr(sys.modules.get("ray.util.client"), "_default_context", None)
    worker = getattr(context, "client_worker", None)
    if worker is not None:
        follow(worker, context)
    else:
        _forget(context)
        _restore_if_unused()


def follow(worker: Any, context: Any) -> None:
    """A Ray Client was connected: patch Ray.

    Args:
        worker: Ray's worker of that client.
        context: Ray's context of it.
    """
    _forget(context)
    _contexts[worker] = context
    client_functions.share(worker)
    if not _originals:
        _install()


def follow_shutdown(worker: Any) -> None:
    """A Ray Client was disconnected: nothing waits any more. After a loss, refs are awaited still.

    Args:
        worker: Ray's worker of that client; None where there was none.
    """
    if worker is not None:
        _end_pending(worker, ConnectionError(_NO_LONGER))
        if worker not in _losses:
            _contexts.pop(worker, None)
    _restore_if_unused()


def _forget(context: Any) -> None:
    """Another connection takes the place of the one that ``context`` had."""
    for worker in [worker for worker, its in _contexts.items() if its is context]:
        _contexts.pop(worker, None)
        _losses.pop(worker, None)


def _restore_if_unused() -> None:
    if not _contexts:
        _restore()


def is_installed() -> bool:
    """Whether all that waits for an object of a Ray Client is known here."""
    return bool(_originals)


def end_by_loss(worker: Any, lost: Exception) -> None:
    """Raise ``lost`` where an object of ``worker`` is awaited, and where one will be."""
    _losses[worker] = lost
    _end_pending(worker, lost)


def _end_pending(worker: Any, error: Exception) -> None:
    for once in [once for once in _pending if once.worker is worker]:
        once(copy.copy(error))


def _install() -> None:
    try:
        from ray.util.client import common, dataclient, worker

        refs = common.ClientObjectRef, common.ClientActorRef
        patches = [
            (worker.Worker, "register_callback", _register_callback),
            (dataclient.DataClient, "_check_shutdown", _check_shutdown),
            (common.ClientObjectRef, "__hash__", _hash),
        ]
        patches += [(ref, "__del__", _del) for ref in refs]
        patches += [(ref, name, _repr) for ref in refs for name in ("__repr__", "__str__")]
        made = [(owner, name, patch(getattr(owner, name))) for owner, name, patch in patches]
    except (ImportError, AttributeError):
        return
    for owner, name, patched in made:
        _originals[owner, name] = vars(owner).get(name)
        setattr(owner, name, patched)


def _restore() -> None:
    while _originals:
        (owner, name), original = _originals.popitem()
        if original is None:
            delattr(owner, name)
        else:
            setattr(owner, name, original)


class _Once:
    """Calls Ray's callback with the object or an error, the first time that it is called."""

    def __init__(self, worker: Any, callback: Callable[[Any], None]) -> None:
        self.worker = worker
        _pending[self] = callback

    def __call__(self, response: Any) -> None:
        callback = _pending.pop(self, None)
        if callback is None:
            return
        if isinstance(response, Exception) and self.worker in _losses:
            response = copy.copy(_losses[self.worker])
        from concurrent.futures import InvalidStateError

        # Its await was cancelled. Raised in Ray's data thread, this would leave others pending.
        with suppress(InvalidStateError), used(_contexts.get(self.worker)):
            callback(response)


@contextmanager
def used(context: Any) -> Iterator[None]:
    """Let this thread use ``context``: refs in an object belong to the client that it came from."""
    if context is None:
        yield
        return
    api = sys.modules["ray.util.client"].ray
    before = api.set_context(context)
    try:
        yield
    finally:
        api.set_context(before)


def _register_callback(rays: Any) -> Any:
    def register_callback(worker: Any, ref: Any, callback: Callable[[Any], None]) -> None:
        once = _Once(worker, callback)

        def ask(_answer: object = None) -> None:
            try:
                # As below. Ray's own check does not work on its data thread.
                if worker.data_client._in_shutdown:
                    raise ConnectionError(_NO_LONGER)
                rays(worker, ref, once)
            except Exception as error:
                once(error)

        if (answer := _awaited_answer(ref)) is None:
            ask()
        else:
            answer.add_done_callback(ask)

    return register_callback


def _check_shutdown(rays: Any) -> Any:
    def _check_shutdown(data_client: Any) -> None:
        worker = data_client.client_worker
        if not data_client._in_shutdown:
            rays(data_client)
        elif worker._in_shutdown or _is_release_thread(worker):
            # Ray would wait here for that shutdown to end, and would then disconnect whatever is
            # connected by now; its release thread would wait for itself. It holds the lock of the
            # data client either way.
            raise copy.copy(_losses.get(worker) or ConnectionError(_NO_LONGER))
        else:
            # Ray has given up, and disconnects the client that this thread uses: any.
            with client_server.hung_up(worker), used(_contexts.get(worker)):
                rays(data_client)

    return _check_shutdown


def _is_release_thread(worker: Any) -> bool:
    return getattr(worker, "_release_thread", None) is threading.current_thread()


def _del(rays: Any) -> Any:
    # At the end of the process, the names of this module are gone before the last refs.
    awaited_answer, release, bound = _awaited_answer, _release, partial

    def __del__(ref: Any) -> None:
        answer = awaited_answer(ref)
        if answer is None:
            rays(ref)
        elif not getattr(ref, "_weak_ref", False):
            answer.add_done_callback(bound(release, ref._worker))

    return __del__


def _release(worker: Any, answer: Future[bytes]) -> None:
    """What Ray does with a ref that is dropped."""
    if worker is not None and worker.is_connected() and answer.exception() is None:
        worker.call_retain(answer.result())
        worker.call_release(answer.result())


def _hash(rays: Any) -> Any:
    def __hash__(ref: Any) -> int:
        # asyncio.gather tells by a dict of its own whether it was given the same ref twice. For all
        # others equal refs have equal hashes, and only the server knows what they are equal by.
        if sys._getframe(1).f_globals.get("__name__") == "asyncio.tasks":
            return object.__hash__(ref)
        return int(rays(ref))

    return __hash__


def _repr(rays: Any) -> Any:
    def __repr__(ref: Any) -> str:
        if _awaited_answer(ref) is None:
            return str(rays(ref))
        return f"{type(ref).__name__}(not scheduled yet)"

    return __repr__


def _awaited_answer(ref: Any) -> Future[bytes] | None:
    """The server's answer that will give ``ref`` its id; None once it is there."""
    answer: Future[bytes] | None = getattr(ref, "_id_future", None)
    return None if answer is None or answer.done() else answer
