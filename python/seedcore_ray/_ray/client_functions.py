"""Remote functions, actor classes and refs where a process has several Ray Clients.

Ray writes into a remote function which client it was last used on, and uploads it anew when that
changes: with threads on two clients, at almost every call. A function that was decorated while a
client was connected even keeps the id that it got there. Here each client has an upload of its own,
made once. What can only work on one client, refs and actors, is refused by the others in words.
"""

from __future__ import annotations

import weakref

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_UPLOADS = "_seedcore_ray_uploads"

# What stands for a remote function on a client, by the key that Ray writes into the function.
_stubs: dict[str, Any] = {}
_is_installed = False


def share(worker: Any) -> None:
    """Let ``worker``, of a client, know the functions of the others, once there are several.

    Args:
        worker: Ray's; None where there is no client.
    """
    if _is_installed and worker is not None and worker._converted is not _stubs:
        _stubs.update(worker._converted)
        worker._converted = _stubs


def install() -> None:
    """There are going to be several clients. Idempotent."""
    global _is_installed
    if _is_installed:
        return
    from ray.util.client import client_pickler, common, worker

    for name in ("_convert_function", "_convert_actor"):
        _patch(worker.Worker, name, _convert)
    for stub in (common.ClientRemoteFunc, common.ClientActorClass):
        stub._ref = property(_upload, _set_upload)
    for name in ("get", "wait", "terminate_task", "terminate_actor", "call_remote"):
        _patch(worker.Worker, name, _checked)
    _patch(client_pickler.ClientPickler, "persistent_id", _checked_argument)
    _is_installed = True


def _patch(owner: type, name: str, patch: Callable[[Any], Any]) -> None:
    setattr(owner, name, patch(getattr(owner, name)))


def _convert(rays: Any) -> Any:
    def convert(worker: Any, function: Any) -> str:
        key = str(rays(worker, function))
        weakref.finalize(function, _stubs.pop, key, None).atexit = False
        return key

    return convert


def _upload(stub: Any) -> Any:
    """The upload of ``stub`` on the client that this thread uses; None before it is made."""
    worker = _worker()
    uploads = vars(worker).get(_UPLOADS, {}) if worker is not None else {}
    if stub in uploads:
        return uploads[stub]
    before = vars(stub).get("_ref")  # made before this was installed
    return before if getattr(before, "_worker", None) is worker else None


def _set_upload(stub: Any, upload: Any) -> None:
    if upload is not None:
        uploads = vars(_worker()).setdefault(_UPLOADS, weakref.WeakKeyDictionary())
        uploads[stub] = upload


def _worker() -> Any:
    from ray.util.client import ray

    return ray.get_context().client_worker


def _checked(rays: Any) -> Any:
    def checked(worker: Any, what: Any, *args: Any, **kwargs: Any) -> Any:
        for one in what if isinstance(what, list | tuple) else (what,):
            _check(worker, one)
        return rays(worker, what, *args, **kwargs)

    return checked


def _checked_argument(rays: Any) -> Any:
    def persistent_id(pickler: Any, value: Any) -> Any:
        stub = rays(pickler, value)
        if stub is not None:
            owner = _owner(value)
            if owner is not None and owner._client_id != pickler.client_id:
                raise _is_foreign(value, owner)
        return stub

    return persistent_id


def _check(worker: Any, value: Any) -> None:
    owner = _owner(value)
    if owner is not None and owner is not worker:
        raise _is_foreign(value, owner)


def _owner(value: Any) -> Any:
    """The worker of the client that has made a ref, an actor, or a method of one."""
    for name in ("_remote_stub", "_actor_handle", "actor_ref"):
        # Not by getattr: an actor handle asks its server for what it does not know.
        value = getattr(value, "__dict__", {}).get(name, value)
    return getattr(value, "__dict__", {}).get("_worker")


def _is_foreign(value: Any, owner: Any) -> ValueError:
    has_ended = "" if owner.is_connected() else ", which has ended"
    return ValueError(
        f"This {type(value).__name__} was made on another connection, to ray://{owner._conn_str}"
        f"{has_ended}. Refs and actor handles work only on the connection that made them: get the "
        "value there and pass that, or look the actor up by its name on this one."
    )
