"""Where an exception comes from: Ray, or the application.

Nothing here imports ``ray``: what it raised can only come from one that is imported.
"""

from __future__ import annotations

from collections.abc import Iterator

from seedcore_ray._errors import RayConnectionError

# A task's own exception, which Ray only brings.
_BROUGHT = "RayTaskError"


def connection_error(error: BaseException) -> RayConnectionError | None:
    """The one of ours that ``error`` is or comes from."""
    return next((link for link in _chain(error) if isinstance(link, RayConnectionError)), None)


def is_rays_exit(error: BaseException) -> bool:
    """Whether it is the ``SystemExit`` that Ray raises in calls that its shutdown breaks off."""
    return isinstance(error, SystemExit) and hasattr(error, "ray_terminate_msg")


def is_rays(error: BaseException) -> bool:
    """Whether Ray itself has raised ``error``, or what it comes from."""
    return any(not _is_brought(link) and _is_raised_by_ray(link) for link in _chain(error))


def _is_raised_by_ray(error: BaseException) -> bool:
    if _is_of_ray(type(error).__module__):
        return True
    # The data channel of Ray Client makes one of these for whoever awaits, and raises it nowhere.
    # Other libraries' are subclasses.
    if type(error) is ConnectionError:
        return True
    frames = error.__traceback__
    while frames is not None:
        if _is_of_ray(str(frames.tb_frame.f_globals.get("__name__", ""))):
            return True
        frames = frames.tb_next
    return False


def _is_of_ray(module: str) -> bool:
    return module == "ray" or module.startswith("ray.")


def _is_brought(error: BaseException) -> bool:
    return any(
        kind.__name__ == _BROUGHT and _is_of_ray(kind.__module__) for kind in type(error).__mro__
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
