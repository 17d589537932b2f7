"""Tasks, actors and references of ``FakeRay``: everything happens at once, in the caller."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

Run = Callable[[str, str, Callable[[], Any]], "Ref"]
Make = Callable[[], "Actor"]
Keep = Callable[[Make, dict[str, Any]], "Actor"]


class Ref:
    """An ``ObjectRef`` whose value is there already, or whose error is."""

    def __init__(self, value: Any = None, *, error: Exception | None = None) -> None:
        self._value = value
        self._error = error

    def value(self) -> Any:
        """The value; raises the error of the task."""
        if self._error is not None:
            raise self._error
        return self._value

    def __await__(self) -> Generator[None, None, Any]:
        yield from ()
        return self.value()


class Task:
    """A remote function, or a method of an actor."""

    def __init__(self, function: Callable[..., Any], run: Run, what: str = "task") -> None:
        self._function = function
        self._run = run
        self._what = what

    def remote(self, *args: Any, **kwargs: Any) -> Ref:
        """Call it now."""
        name = getattr(self._function, "__name__", repr(self._function))
        return self._run(self._what, name, lambda: self._function(*_values(args), **kwargs))

    def options(self, **_: Any) -> Task:
        """Itself: resources mean nothing here."""
        return self


class ActorClass:
    """A remote class."""

    def __init__(self, cls: type, run: Run, keep: Keep, options: dict[str, Any]) -> None:
        self._cls = cls
        self._run = run
        self._keep = keep
        self._options = options

    def remote(self, *args: Any, **kwargs: Any) -> Actor:
        """Make an instance now; named ones can be found with ``get_actor``."""
        return self._keep(
            lambda: Actor(self._cls(*_values(args), **kwargs), self._run), self._options
        )

    def options(self, **options: Any) -> ActorClass:
        """The same with a name, a namespace, ``get_if_exists``; the rest means nothing here."""
        return ActorClass(self._cls, self._run, self._keep, {**self._options, **options})


class Actor:
    """A handle: ``handle.method.remote(...)``."""

    def __init__(self, instance: object, run: Run) -> None:
        self._instance = instance
        self._run = run

    def __getattr__(self, name: str) -> Task:
        return Task(getattr(self._instance, name), self._run, "actor")


def _values(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """References among the arguments of a task arrive as their values."""
    return tuple(arg.value() if isinstance(arg, Ref) else arg for arg in args)
