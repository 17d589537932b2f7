"""A stand-in for ``ray`` that runs tasks at once, in the caller, and fails when it is told to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import repeat
from types import ModuleType
from typing import Any, NamedTuple

_SCRIPTED = ("init", "is_initialized", "shutdown", "get", "task", "actor")


class Call(NamedTuple):
    """One call of the stand-in."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class FakeRay(ModuleType):
    """In ``sys.modules`` as ``ray`` while it is entered; what was there comes back afterwards.

    It has what services call most: ``init``, ``is_initialized``, ``shutdown``, ``remote`` for
    functions and classes, ``get``, ``put``, ``wait``, ``kill``, ``get_actor``. A task runs at once,
    in the caller, and ``get`` raises what it raised. Set whatever else is needed as an attribute.
    Submodules (``ray.exceptions``) are those of the real Ray, where it was imported.
    """

    def __init__(self) -> None:
        super().__init__("ray", type(self).__doc__)
        self.calls: list[Call] = []
        """Every call so far, in order: ``[call.name for call in ray.calls]``."""
        self._script: dict[str, Iterator[BaseException]] = {}
        self._namespace: str | None = None
        self._connected = False
        self._actors: dict[tuple[str | None, str], Actor] = {}
        self._replaced: ModuleType | None = None

    # -- the script

    def fails(self, what: str, error: BaseException, times: int | None = None) -> None:
        """Raise ``error`` from now on, or only ``times`` times.

        ``what`` is ``init``, ``is_initialized``, ``shutdown`` or ``get``; ``task`` fails calls of
        remote functions, ``actor`` those of actors' methods, both as Ray does: at ``get``.
        """
        self._script[_known(what)] = repeat(error) if times is None else repeat(error, times)

    def works(self, what: str) -> None:
        """End what ``fails`` began."""
        self._script.pop(_known(what), None)

    def __enter__(self) -> FakeRay:
        self._replaced = sys.modules.get("ray")
        sys.modules["ray"] = self
        return self

    def __exit__(self, *raised: object) -> None:
        del sys.modules["ray"]
        if self._replaced is not None:
            sys.modules["ray"] = self._replaced

    # -- Ray

    def init(self, *args: Any, namespace: str | None = None, **kwargs: Any) -> None:
        """Connect; the arguments are kept in ``calls`` and otherwise mean nothing."""
        self._note("init", *args, namespace=namespace, **kwargs)
        self._connected, self._namespace = True, namespace

    def is_initialized(self) -> bool:
        """Whether ``init`` was called since the last ``shutdown``."""
        self._note("is_initialized")
        return self._connected

    def shutdown(self) -> None:
        """Disconnect; actors are gone."""
        self._note("shutdown")
        self._connected = False
        self._actors.clear()

    def remote(self, *args: Any, **options: Any) -> Any:
        """Decorate a function or a class, with or without options."""
        if args:
            return self._remote(args[0])
        return lambda target: self._remote(target, **options)

    def put(self, value: Any) -> Ref:
        """A reference to ``value``."""
        self._need_connection()
        return Ref(value)

    def get(self, refs: Ref | Sequence[Ref], *, timeout: float | None = None) -> Any:
        """The value of one reference, or of several."""
        self._note("get", timeout=timeout)
        return refs.value() if isinstance(refs, Ref) else [ref.value() for ref in refs]

    def wait(
        self, refs: Sequence[Ref], *, num_returns: int = 1, **_: Any
    ) -> tuple[list[Ref], list[Ref]]:
        """The first ``num_returns`` references and the rest: all of them are ready."""
        return list(refs[:num_returns]), list(refs[num_returns:])

    def get_actor(self, name: str, namespace: str | None = None) -> Actor:
        """The actor of that name; ``ValueError``, as from Ray, when there is none."""
        self._need_connection()
        try:
            return self._actors[namespace or self._namespace, name]
        except KeyError:
            raise ValueError(f"Failed to look up actor with name '{name}'.") from None

    def kill(self, actor: Actor, **_: Any) -> None:
        """Forget an actor."""
        self._actors = {key: kept for key, kept in self._actors.items() if kept is not actor}

    # -- for tasks and actors

    def _remote(self, target: Any, **options: Any) -> Task | ActorClass:
        if isinstance(target, type):
            return ActorClass(self, target, options)
        return Task(self, target, "task")

    def _run(self, what: str, name: str, work: Callable[[], Any]) -> Ref:
        self._need_connection()
        try:
            self._note(what, name)
            return Ref(work())
        except Exception as error:
            return Ref(error=error)

    def _actor(self, make: Callable[[], Actor], options: dict[str, Any]) -> Actor:
        self._need_connection()
        if (name := options.get("name")) is None:
            return make()
        key = (options.get("namespace") or self._namespace, name)
        if key not in self._actors:
            self._actors[key] = make()
        elif not options.get("get_if_exists"):
            raise ValueError(f"The name {name} (namespace={key[0]}) is already taken.")
        return self._actors[key]

    def _need_connection(self) -> None:
        if not self._connected:
            raise RuntimeError("Ray has not been started yet: the stand-in needs init() first")

    def _note(self, what: str, *args: Any, **kwargs: Any) -> None:
        self.calls.append(Call(what, args, kwargs))
        for error in self._script.get(what, ()):
            raise error


class Ref:
    """An ``ObjectRef`` that holds its value or its error already."""

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

    def __init__(self, ray: FakeRay, function: Callable[..., Any], what: str) -> None:
        self._ray = ray
        self._function = function
        self._what = what

    def remote(self, *args: Any, **kwargs: Any) -> Ref:
        """Call it now."""
        name = getattr(self._function, "__name__", repr(self._function))
        return self._ray._run(self._what, name, lambda: self._function(*_values(args), **kwargs))

    def options(self, **_: Any) -> Task:
        """Itself: resources mean nothing here."""
        return self


class ActorClass:
    """A remote class."""

    def __init__(self, ray: FakeRay, cls: type, options: dict[str, Any]) -> None:
        self._ray = ray
        self._cls = cls
        self._options = options

    def remote(self, *args: Any, **kwargs: Any) -> Actor:
        """Make an instance now; named ones can be found with ``get_actor``."""
        return self._ray._actor(
            lambda: Actor(self._ray, self._cls(*_values(args), **kwargs)), self._options
        )

    def options(self, **options: Any) -> ActorClass:
        """The same with a name, a namespace, ``get_if_exists``; the rest means nothing here."""
        return ActorClass(self._ray, self._cls, {**self._options, **options})


class Actor:
    """A handle: ``handle.method.remote(...)``."""

    def __init__(self, ray: FakeRay, instance: object) -> None:
        self._ray = ray
        self._instance = instance

    def __getattr__(self, name: str) -> Task:
        return Task(self._ray, getattr(self._instance, name), "actor")


def _values(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """References among the arguments of a task arrive as their values."""
    return tuple(arg.value() if isinstance(arg, Ref) else arg for arg in args)


def _known(what: str) -> str:
    if what not in _SCRIPTED:
        raise ValueError(f"{what!r} cannot be scripted; it is one of {', '.join(_SCRIPTED)}")
    return what
