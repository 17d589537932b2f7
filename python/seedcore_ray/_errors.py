"""The exceptions of a failed connect, and of a use without a connection."""

from __future__ import annotations

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from typing import Any


class RayConnectionError(ConnectionError):
    """Says why this process is not connected to Ray.

    ``str()`` gives the cause and the next thing to try. Pickling keeps every attribute, so that the
    error reaches a Ray driver whole from a task.

    Attributes:
        kind: the cause, one of a fixed set of names (``refused``, ``dns``, ``wrong_port``...).
        address: the address, without secrets.
        hint: what to try next.
        attempts: how many times the address was tried.
        retry_after_s: seconds after which a retry makes sense, or None if that is unknown.
    """

    kind: str
    address: str
    hint: str
    attempts: int
    retry_after_s: float | None

    def __init__(
        self,
        message: str,
        *,
        kind: str = "init_failed",
        address: str = "",
        hint: str = "",
        attempts: int = 0,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.address = address
        self.hint = hint
        self.attempts = attempts
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        message = str(self.args[0]) if self.args else ""
        stop = "" if message.endswith((".", "?", "!")) else "."
        return f"{message}{stop} {self.hint}" if self.hint else message

    def __reduce__(self) -> tuple[object, ...]:
        # OSError's own __reduce__ knows errno and nothing of our keyword arguments.
        return _rebuild, (type(self), self.args, self.__dict__)


class RayNotReadyError(RayConnectionError):
    """Something was used that needs a connection to Ray while there is none.

    ``kind``, ``address``, ``hint`` and the rest are those of the last failed connect; ``kind`` is
    ``not_connected`` where none has failed.

    Attributes:
        name: what was used: a lazy's name, or what ``require_ray`` was given; None without one.
    """

    name: str | None

    def __init__(self, message: str, *, name: str | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.name = name


class PoolTimeout(RayConnectionError):
    """No connection of a pool was to be had in time.

    ``kind`` is ``pool_timeout`` where all were in use, else the cause by which there is none.
    """


class PoolClosed(RayConnectionError):
    """The pool is closed."""


class TooManyRequests(RayConnectionError):
    """As many callers wait for a connection of the pool as its ``max_waiting`` allows."""


def _rebuild(
    cls: type[RayConnectionError], args: tuple[str, ...], state: dict[str, object]
) -> RayConnectionError:
    error = cls(*args)
    error.__dict__.update(state)
    return error
