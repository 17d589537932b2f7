"""Introspection, copies, pickles and patches: what comes across a lazy must not make it."""

from __future__ import annotations

import contextlib
import copy
import doctest
import inspect
import pickle
import sys
import types
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from seedcore_ray import Lazy, lazy


class Manager:
    """Documented here."""

    limit = 10

    def __init__(self) -> None:
        self.items = {"a": 1}

    def double(self, number: int) -> int:
        return 2 * number

    def __call__(self, *args: int, **kwargs: int) -> tuple[Any, ...]:
        return args, kwargs

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Any:
        return iter(self.items)

    def __getitem__(self, key: str) -> int:
        return self.items[key]

    def __setitem__(self, key: str, value: int) -> None:
        self.items[key] = value

    def __delitem__(self, key: str) -> None:
        del self.items[key]

    def _repr_html_(self) -> str:
        return "<b>"


class Counted:
    """A lazy, and how often its value was made."""

    def __init__(self) -> None:
        self.made = 0
        self.lazy = lazy(self.make, "manager")

    def make(self) -> Manager:
        self.made += 1
        return Manager()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """While a stand-in for Ray says that it is connected."""
    stand_in = types.SimpleNamespace(is_initialized=lambda: True)
    monkeypatch.setitem(sys.modules, "ray", stand_in)
    return Counted()


POKES: dict[str, Callable[[Any], object]] = {
    "repr": repr,
    "str": str,
    "format": lambda manager: f"{manager}",
    "dir": dir,
    "hash": hash,
    "equality": lambda manager: (manager == 1, manager in [1, manager]),
    "none": lambda manager: manager is None,
    "isinstance": lambda manager: isinstance(manager, (Manager, str)),
    "unwrap": inspect.unwrap,
    "signature": lambda manager: _signature(manager),
    "doc": inspect.getdoc,
    "members of a module": lambda manager: inspect.getmembers(_module(manager)),
    "doctest": lambda manager: doctest.DocTestFinder().find(_module(manager)),
    "mock": lambda manager: mock.create_autospec(manager),
    "coroutine": lambda manager: (
        inspect.iscoroutinefunction(manager),
        inspect.isawaitable(manager),
        inspect.isgeneratorfunction(manager),
        inspect.isclass(manager),
    ),
    "protocols": lambda manager: [
        getattr(manager, name, None)
        for name in ("__wrapped__", "__signature__", "__name__", "__test__", "_repr_html_")
    ],
    "copy": copy.copy,
    "deep copy": copy.deepcopy,
    "alias": lambda manager: Lazy[Manager],
}


def _signature(manager: Any) -> None:
    with contextlib.suppress(ValueError):  # as for anything that is called natively
        inspect.signature(manager)
    # What FastAPI's Depends(manager.get) looks at.
    assert not inspect.signature(manager.get).parameters
    assert not inspect.signature(manager.aget).parameters
    assert inspect.iscoroutinefunction(manager.aget)


def _module(manager: Any) -> types.ModuleType:
    module = types.ModuleType("app_of_a_test")
    vars(module).update(manager=manager, __file__=__file__)
    return module


@pytest.mark.parametrize("poke", POKES)
def test_looking_at_it_makes_nothing(counted: Counted, poke: str) -> None:
    POKES[poke](counted.lazy)
    assert counted.made == 0


@pytest.mark.parametrize("poke", POKES)
def test_looking_at_it_needs_no_connection(poke: str) -> None:
    POKES[poke](lazy(Manager))


def test_it_says_what_it_is(counted: Counted) -> None:
    assert repr(counted.lazy) == "<Lazy manager: not made>"
    assert not hasattr(counted.lazy, "__wrapped__") and not hasattr(counted.lazy, "_repr_html_")
    value = counted.lazy.get()
    assert repr(counted.lazy) == f"<Lazy manager: {value!r}>"
    assert counted.lazy._repr_html_() == "<b>"
    assert {"get", "aget", "reset", "double", "limit"} <= set(dir(counted.lazy))
    assert counted.made == 1


@pytest.mark.parametrize(
    ("factory", "name"),
    [
        (Manager, f"{__name__}.Manager"),
        (Manager.double, f"{__name__}.Manager.double"),
        (__import__("functools").partial(Manager), f"{__name__}.Manager"),
        (Manager.__new__(Manager), f"{__name__}.Manager"),
        (len, "builtins.len"),
    ],
)
def test_it_is_named_after_its_factory(factory: Any, name: str) -> None:
    assert repr(lazy(factory)) == f"<Lazy {name}: not made>"
    assert repr(lazy(factory, "mine")) == "<Lazy mine: not made>"


def test_it_is_used_as_its_value_is(counted: Counted) -> None:
    manager: Any = counted.lazy
    assert manager.double(21) == 42 and manager.limit == 10
    assert manager(1, two=2) == ((1,), {"two": 2})
    assert len(manager) == 1 and list(manager) == ["a"] and "a" in manager and manager
    manager["b"] = 2
    del manager["a"]
    assert manager["b"] == 2 and manager.items == {"b": 2}
    manager.limit = 11
    assert manager.get().limit == 11
    del manager.limit
    assert manager.limit == 10
    with pytest.raises(AttributeError, match="'Manager' object has no attribute 'nothing'"):
        _ = manager.nothing
    with pytest.raises(KeyError):
        manager["c"]
    assert counted.made == 1


def test_what_is_its_own_stays_its_own(counted: Counted) -> None:
    manager: Any = counted.lazy
    value: Any = manager.get()
    assert (type(manager), manager.__class__) == (Lazy, Lazy) and not isinstance(manager, Manager)
    assert manager == manager and manager != value and len({manager, manager}) == 1
    for name in ("get", "aget", "reset", "__class__", "_items"):
        with pytest.raises(AttributeError, match="cannot be set"):
            setattr(manager, name, 1)
    # The value at the end could be another one than at the start.
    unscoped: Any = {"manager": manager}
    with pytest.raises((TypeError, AttributeError)), unscoped["manager"]:
        pass
    assert copy.copy(manager) is manager and copy.deepcopy([manager])[0] is manager


def test_it_can_be_patched_while_it_is_made(counted: Counted) -> None:
    with mock.patch.object(counted.lazy, "double", return_value=5):
        assert counted.lazy.double(1) == 5
    assert counted.lazy.double(1) == 2


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("is_made", [False, True])
def test_it_cannot_be_pickled(counted: Counted, protocol: int, is_made: bool) -> None:
    if is_made:
        counted.lazy.get()
    with pytest.raises(TypeError, match=r"cannot pickle the Lazy manager: .*\.get\(\)"):
        pickle.dumps(counted.lazy, protocol)


def test_nobody_derives_from_it() -> None:
    with pytest.raises(TypeError):
        type("Mine", (Lazy,), {})
    with pytest.raises(TypeError):
        Lazy()


def test_a_lazy_of_an_object_goes_with_it(counted: Counted) -> None:
    import gc
    import weakref

    class Owner:
        def __init__(self) -> None:
            self.actor = lazy(lambda: [self])

    owner = Owner()
    owner.actor.get()
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


def test_types_follow_the_factory(counted: Counted) -> None:
    """What mypy says of these lines is the test: `make lint`."""

    async def later() -> int:
        return 1

    value: Manager = counted.lazy.get()
    number: Lazy[int] = lazy(later)
    wrong: Lazy[str] = lazy(later)  # type: ignore[arg-type]
    text: str = counted.lazy.get()  # type: ignore[assignment]
    assert [value, number] != [text, wrong]
