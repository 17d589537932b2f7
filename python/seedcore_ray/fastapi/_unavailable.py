"""Why Ray cannot be used, as a ``RayConnectionError``, and that as an answer to a request."""

from __future__ import annotations

import math

from starlette.exceptions import HTTPException

from seedcore_ray import _core
from seedcore_ray._errors import RayConnectionError, RayNotReadyError

_RETRY_AFTER_S = 5
"""Where nothing better is known: no reconnect waits longer before its next try."""


def reason(
    now: _core.Connection, unhealthy: RayConnectionError | None = None
) -> RayConnectionError | None:
    """Why this process cannot use Ray; None when it can.

    Args:
        now: the connection.
        unhealthy: the cause of its last ``unhealthy`` event, while that holds.
    """
    if now.state == "connected":
        return None
    if now.state == "unhealthy":
        return unhealthy or silence(now)
    try:
        _core.require_ray()
    except RayNotReadyError as error:
        return error
    # Ray has a connection that the session has only just lost, or not noticed yet.
    return _core.last_error() or interrupted(now.address or "")


def silence(now: _core.Connection) -> RayConnectionError:
    """The cluster has stopped answering."""
    said = now.last_probe.error if now.last_probe else None
    return RayConnectionError(
        said or f"{now.address} has stopped answering", kind="lost", address=now.address or ""
    )


def interrupted(address: str) -> RayConnectionError:
    """The connection was lost during a request, and may be back by now."""
    return RayConnectionError(
        "the connection to Ray was lost or replaced in the middle of this",
        kind="lost",
        address=address,
        hint="Ask again.",
        retry_after_s=0.0,
    )


def retry_after(absence: RayConnectionError) -> dict[str, str]:
    """The ``Retry-After`` header: whole seconds, at least one."""
    wait_s = absence.retry_after_s
    seconds = _RETRY_AFTER_S if wait_s is None else max(1, math.ceil(wait_s))
    return {"Retry-After": str(seconds)}


def unavailable(absence: RayConnectionError) -> HTTPException:
    """503 with ``Retry-After``, which the app answers in the form of its other errors."""
    return HTTPException(503, detail=str(absence), headers=retry_after(absence))
