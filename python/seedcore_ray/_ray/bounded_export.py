"""Exports of functions and actor classes that end while the GCS is away.

The first ``.remote()`` of a function or class stores its code in the GCS, with calls that take a
``timeout`` and are given none by Ray.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seedcore_ray._core import Guard

_NAMES = ("export", "export_actor_class")

# Ray notes on a function that it is exported before it is. (Ray 2.33 to 2.60; where a mark has
# another name, a failed export shows at the next call as a task that waits for its function.)
_MARK = "_last_export_cluster_and_job"

# Seconds for each try. All of them together end before Ray's own 60 s.
_TRIES_S = (8, 16, 30)


def of(manager: Any, guard: Guard) -> Iterator[tuple[str, Callable[..., None]]]:
    """The bounded twins of what ``manager``, a ``FunctionActorManager``, exports with."""
    for name in _NAMES:
        yield name, partial(_export, getattr(type(manager), name), manager, guard)


def _export(method: Callable[..., None], manager: Any, guard: Guard, *args: Any, **kw: Any) -> None:
    try:
        for seconds in _TRIES_S:
            guard.admit()
            try:
                return method(_bounded(manager, seconds), *args, **kw)
            except Exception as error:
                if seconds == _TRIES_S[-1] or not _is_no_answer(error):
                    raise
    except BaseException:
        for function in args:
            if hasattr(function, _MARK):
                setattr(function, _MARK, None)
        raise


def _is_no_answer(error: Exception) -> bool:
    from ray.exceptions import GetTimeoutError, RpcError

    # DEADLINE_EXCEEDED and UNAVAILABLE of gRPC.
    return isinstance(error, GetTimeoutError) or (
        isinstance(error, RpcError) and error.rpc_code in (4, 14)
    )


def _bounded(manager: Any, seconds: int) -> _View:
    """``manager``, whose calls to the GCS take at most ``seconds`` each."""
    worker = manager._worker
    gcs = worker.gcs_client
    calls = {
        name: partial(getattr(gcs, name), timeout=seconds)
        for name in ("internal_kv_exists", "internal_kv_put")
    }
    return _View(manager, _worker=_View(worker, gcs_client=_View(gcs, **calls)))


class _View:
    """An object with some attributes in the place of its own."""

    def __init__(self, target: Any, **attributes: Any) -> None:
        self._target = target
        vars(self).update(attributes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)
