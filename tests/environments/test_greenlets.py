"""Threads that are greenlets: ``ray.init`` hangs there, and whoever waits is told why."""

from __future__ import annotations

import logging
import sys
from types import ModuleType

import pytest

from seedcore_ray._ray import greenlets

# What the libraries have: gevent 26.9 and eventlet 0.41 were run (docs/environments.md).
_PATCHERS = [
    ("gevent", "gevent.monkey", "is_module_patched", "threading"),
    ("eventlet", "eventlet.patcher", "is_monkey_patched", "thread"),
]


@pytest.mark.parametrize(("library", "module", "function", "what"), _PATCHERS)
@pytest.mark.parametrize("patched", [True, False])
def test_the_library_that_has_patched_is_named(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    library: str,
    module: str,
    function: str,
    what: str,
    patched: bool,
) -> None:
    stand_in = ModuleType(module)
    setattr(stand_in, function, lambda asked: patched and asked == what)
    monkeypatch.setitem(sys.modules, module, stand_in)
    with caplog.at_level(logging.WARNING, "seedcore_ray.connect"):
        greenlets.warn()
    assert (f"monkey-patched by {library}" in caplog.text) is patched


def test_a_library_that_tells_nothing_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "gevent.monkey", ModuleType("gevent.monkey"))
    greenlets.warn()
    assert not caplog.text
