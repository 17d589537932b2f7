"""For mkdocstrings: a function that a stub has as overloads only is a function all the same."""

from __future__ import annotations

from typing import Any

import griffe


class Overloads(griffe.Extension):
    """Gives such a function its last overload, the most general one, as its own signature."""

    def on_module(self, *, mod: griffe.Module, **_: Any) -> None:
        """Called for each module that was read."""
        _complete(mod)

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Called for each class that was read."""
        _complete(cls)


def _complete(owner: griffe.Module | griffe.Class) -> None:
    for name, overloads in owner.overloads.items():
        if overloads and name not in owner.members:
            function = overloads[-1]
            function.overloads = list(overloads)
            owner.set_member(name, function)
