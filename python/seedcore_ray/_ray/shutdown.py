"""``ray.shutdown()`` as this library calls it."""

from __future__ import annotations

from contextlib import suppress

from seedcore_ray._ray import client_awaits, sigterm

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from typing import Any


def shutdown(ray: Any) -> None:
    """``ray.shutdown()``, after which SIGTERM still reaches the service's handler."""
    try:
        with sigterm.kept():
            ray.shutdown()
    finally:
        client_awaits.follow_shutdown()


def undo(ray: Any) -> None:
    """Leave nothing half made behind: a failed client init leaves client mode switched on."""
    with suppress(BaseException):
        shutdown(ray)
