"""Why Ray is not there, as a ``RayConnectionError``, and that as an answer to a request."""

from __future__ import annotations

import math

from starlette.exceptions import HTTPException

from seedcore_ray import _core
from seedcore_ray._errors import RayConnectionError

_UNKNOWN_S = 5
"""To ask again after that where nobody knows better: no reconnect waits longer for its next try."""


def reason(now: _core.Connection, ailing: RayConnectionError | None = None) -> RayConnectionError:
    """Why this process is not connected.

    Args:
        now: the connection, which is not ``connected``.
        ailing: what was told of a connection that is ``unhealthy``.
    """
    if now.state == "unhealthy":
        return ailing or silence(now)
    if cause := _core.last_error():
        return cause
    said = now.last_probe.error if now.last_probe else None
    if now.state == "connecting":
        message = "still connecting" + (f": {said}" if said else "")
    else:
        message = "not connected to Ray"
    return RayConnectionError(message, kind="not_connected", address=now.address or "")


def silence(now: _core.Connection) -> RayConnectionError:
    """The cluster has stopped to answer."""
    said = now.last_probe.error if now.last_probe else None
    return RayConnectionError(
        said or f"{now.address} has stopped to answer", kind="lost", address=now.address or ""
    )


def interrupted(address: str) -> RayConnectionError:
    """The connection was lost under a request, and may be back by now."""
    return RayConnectionError(
        "the connection to Ray was lost or replaced in the middle of this",
        kind="lost",
        address=address,
        hint="Ask again.",
        retry_after_s=0.0,
    )


def retry_after(absence: RayConnectionError) -> str:
    """The header's value: whole seconds, at least one."""
    wait_s = absence.retry_after_s
    return str(_UNKNOWN_S if wait_s is None else max(1, math.ceil(wait_s)))


def unavailable(absence: RayConnectionError) -> HTTPException:
    """503 with ``Retry-After``, in the form that the app gives to its other errors."""
    headers = {"Retry-After": retry_after(absence)}
    return HTTPException(503, detail=str(absence), headers=headers)
