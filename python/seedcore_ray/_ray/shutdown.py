"""``ray.shutdown()`` as this library calls it."""

from __future__ import annotations

from contextlib import suppress

from seedcore_ray._ray import client_awaits, client_server, contexts, sigterm

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from typing import Any


def shutdown(ray: Any) -> None:
    """``ray.shutdown()``, after which SIGTERM still reaches the service's handler."""
    worker = client_server.default_worker()
    try:
        # Not the client of a pool, where this thread uses one.
        with sigterm.kept(), contexts.unbound():
            ray.shutdown()
    finally:
        client_awaits.follow_shutdown(worker)


def undo(ray: Any) -> None:
    """Leave nothing half made behind: a failed client init leaves client mode switched on."""
    with suppress(BaseException):
        shutdown(ray)
