"""Fixtures for all tests. What they give is described in ``tests/support``.

``ray_head``, shared by all tests of a process, is the one of our own pytest plugin.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from seedcore_ray import _core
from seedcore_ray.testing import RayHead, processes
from tests.support import secrets
from tests.support.certs import Authority
from tests.support.programs import clean_env

_DEFAULT_TIMEOUT_S = 120.0
# Long ones first, so that two workers end together, and those without a head last.
_ORDER = ("outage", "token_head", "tls_head", "tools", "own_head", "ray_head")


def pytest_configure(config: pytest.Config) -> None:
    """Name our markers, so that --strict-markers holds."""
    config.addinivalue_line("markers", "timeout(seconds): fail the test when it runs longer")
    # `make portable`: the harness, too, does without what is Linux's own.
    processes.PORTABLE |= _core.PLATFORM == "portable"
    # A shell ignores Ctrl-C for what it starts in the background, and programs inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order by what has to be set up; files stay whole, since each is for one worker."""
    ranks: dict[Path, int] = {}
    for item in items:
        ranks[item.path] = min(_rank(item), ranks.get(item.path, len(_ORDER)))
    items.sort(key=lambda item: (ranks[item.path], str(item.path), _rank(item)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """In place of ``--dist loadfile``: see ``tests/support/scheduling.py``."""
    if config.getoption("dist") != "loadfile":
        return None
    from tests.support.scheduling import ByHeads

    return ByHeads(config, log)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run when any program of it printed a token, a key or a password."""
    if secrets.leaks and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if (to_controller := getattr(session.config, "workeroutput", None)) is not None:
        to_controller["leaks"] = secrets.leaks


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker of xdist has found."""
    secrets.leaks += getattr(node, "workeroutput", {}).get("leaks", [])


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
def token_head() -> Iterator[RayHead]:
    """A running head that wants a token, shared."""
    package = find_spec("ray")
    assert package is not None and package.origin is not None
    if not (Path(package.origin).parent / "_private/authentication").exists():
        pytest.skip("this Ray knows no tokens")
    with RayHead(token=secrets.TOKEN) as head:
        yield head


@pytest.fixture(scope="session")
def tls_head(authority: Authority) -> Iterator[RayHead]:
    """A running head that speaks mutual TLS, shared."""
    with RayHead(tls=authority.issue("head")) as head:
        yield head


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signed the certificate of the TLS head."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def own_head() -> Iterator[RayHead]:
    """A running head for this test alone: kill, freeze and restart it at will."""
    with RayHead() as head:
        yield head


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


def _fixtures(item: pytest.Item) -> tuple[str, ...]:
    return tuple(getattr(item, "fixturenames", ()))


def _rank(item: pytest.Item) -> int:
    names = _fixtures(item)
    return min((rank for rank, name in enumerate(_ORDER) if name in names), default=len(_ORDER))
