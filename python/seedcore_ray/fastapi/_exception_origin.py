"""Where an exception comes from: Ray, or the application.

Nothing here imports ``ray``: an exception of Ray's can only come from one that is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from traceback import walk_tb

from seedcore_ray._errors import RayConnectionError

# Carries a task's own exception.
_CARRIER = "RayTaskError"


def connection_error(error: BaseException) -> RayConnectionError | None:
    """The ``RayConnectionError`` that ``error`` is or comes from."""
    return next((link for link in _chain(error) if isinstance(link, RayConnectionError)), None)


def is_rays_exit(error: BaseException) -> bool:
    """Whether it is the ``SystemExit`` that Ray raises in calls that its shutdown interrupts."""
    return isinstance(error, SystemExit) and hasattr(error, "ray_terminate_msg")


def is_rays(error: BaseException) -> bool:
    """Whether Ray itself has raised ``error``, or what it comes from."""
    return any(not _is_carrier(link) and _is_raised_by_ray(link) for link in _chain(error))


def _is_raised_by_ray(error: BaseException) -> bool:
    if _is_of_ray(type(error).__module__):
        return True
    # Ray Client's data channel sets a bare one on what is awaited, without a traceback of its own.
    # Other libraries raise subclasses.
    if type(error) is ConnectionError:
        return True
    frames = (frame for frame, _ in walk_tb(error.__traceback__))
    return any(_is_of_ray(str(frame.f_globals.get("__name__"))) for frame in frames)


def _is_of_ray(module: str) -> bool:
    return module.partition(".")[0] == "ray"


def _is_carrier(error: BaseException) -> bool:
    return any(
        kind.__name__ == _CARRIER and _is_of_ray(kind.__module__) for kind in type(error).__mro__
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """``error`` and all that it comes from, each once."""
    ahead: list[object] = [error]
    seen: set[int] = set()
    while ahead:
        link = ahead.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        context = None if link.__suppress_context__ else link.__context__
        # Of a RayTaskError: `cause`. Of an ExceptionGroup: `exceptions`.
        ahead += [link.__cause__, context, getattr(link, "cause", None)]
        ahead += getattr(link, "exceptions", ())
