"""Fixtures for all tests. What they give is described in ``tests/support``."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from seedcore_ray.testing import RayHead
from tests.support import secrets
from tests.support.heads import Heads
from tests.support.programs import clean_env

_DEFAULT_TIMEOUT_S = 120.0
# Tests without a head first, then kind by kind: each head is started once.
_ORDER = ("ray_head", "own_head", "token_head", "tls_head")


def pytest_configure(config: pytest.Config) -> None:
    """Name our markers, so that --strict-markers holds."""
    config.addinivalue_line("markers", "timeout(seconds): fail the test when it runs longer")
    config.addinivalue_line("markers", "head: needs a real Ray head (set by its fixtures)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a head, and order by the head it needs."""
    for item in items:
        if _rank(item):
            item.add_marker(pytest.mark.head)
    items.sort(key=_rank)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when any program of it printed a token, a key or a password."""
    if secrets.leaks and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say where."""
    if secrets.leaks:
        terminalreporter.section("secrets that were printed", red=True, bold=True)
        for leak in secrets.leaks:
            terminalreporter.line(leak)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """End a test that hangs: SIGALRM interrupts even a blocking call of the main thread."""
    marker = item.get_closest_marker("timeout")
    seconds = float(marker.args[0]) if marker else _DEFAULT_TIMEOUT_S

    def fail(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"ran longer than {seconds:g} s", pytrace=True)

    previous = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@pytest.fixture(scope="session")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heads]:
    """Keeps the shared heads; stops the last one when the run ends."""
    shared = Heads(tmp_path_factory.mktemp("heads"))
    yield shared
    shared.stop()


@pytest.fixture
def ray_head(heads: Heads) -> RayHead:
    """A running head, shared: leave it as it was."""
    return heads.get("plain")


@pytest.fixture
def token_head(heads: Heads) -> RayHead:
    """A running head that wants a token, shared."""
    return heads.get("token")


@pytest.fixture
def tls_head(heads: Heads) -> RayHead:
    """A running head that speaks mutual TLS, shared."""
    return heads.get("tls")


@pytest.fixture
def own_head(heads: Heads) -> Iterator[RayHead]:
    """A running head for this test alone: kill, freeze and restart it at will."""
    heads.stop()
    with heads.new() as head:
        yield head


@pytest.fixture
def no_head(heads: Heads) -> None:
    """No head of ours is up."""
    heads.stop()


@pytest.fixture
def fresh_env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """This process's environment without anything Ray or we read, until the test ends.

    The patch itself is returned, to set what the test is about.
    """
    env = clean_env(tmp_path)
    for name in set(os.environ) - set(env):
        monkeypatch.delenv(name)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def _rank(item: pytest.Item) -> int:
    names: tuple[str, ...] = tuple(getattr(item, "fixturenames", ()))
    return max((_ORDER.index(name) + 1 for name in names if name in _ORDER), default=0)
