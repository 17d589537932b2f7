"""The comparison of docstrings: that it sees what a stub says otherwise, and puts it right."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.docstrings import differences, written

_STUB = '''
def open(path: str) -> Door:
    """Open a door."""

def close() -> None: ...

class Door:
    """A door."""

    @property
    def width(self) -> float:
        """Its width."""
    def shut(self) -> None: ...

def helper() -> None:
    """Internal."""
'''


class Door:
    """A door.

    Of wood.
    """

    @property
    def width(self) -> float:
        """Its width, in metres."""
        return 1.0

    def shut(self) -> None:
        """Shut it."""


@pytest.fixture
def module() -> ModuleType:
    """What was built."""

    def close() -> None:
        """Close."""

    def helper() -> None:
        """Another text."""

    def open(path: str) -> Door:
        """Open
        a door.
        """
        return Door()

    built = ModuleType("built")
    vars(built).update(Door=Door, open=open, close=close, helper=helper)
    return built


def test_each_difference_is_told(module: ModuleType) -> None:
    found = differences(_STUB, written(_STUB, module, {"open", "close", "Door"}))
    names = [line.split(":")[0] for line in found]
    assert names == ["close", "Door", "Door.width", "Door.shut", "helper"]


def test_what_was_written_has_none(module: ModuleType) -> None:
    public = {"open", "close", "Door"}
    once = written(_STUB, module, public)
    assert written(once, module, public) == once
    assert differences(once, written(once, module, public)) == []
    for line in (
        '    """Close."""',
        '        """Its width, in metres."""',
        '    """Open a door."""',
    ):
        assert line in once.splitlines()
    assert "Internal" not in once
    assert '    """A door.\n\n    Of wood.\n    """' in once
    compile(once, "stub", "exec")


def test_a_long_one_is_wrapped(module: ModuleType) -> None:
    module.open.__doc__ = "word " * 30
    lines = written(_STUB, module, {"open", "close", "Door"}).splitlines()
    assert max(map(len, lines)) <= 100 and '    """' in lines
