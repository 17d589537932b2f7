"""The pytest plugin (docs/testing.md): fixtures for a real cluster and for a stand-in for ``ray``.

Nothing heavy is imported here, so that a fixture costs nothing before a test asks for it.

A host's own copy of the drop-in modules (``utils/ray_utils.py``) is left out of the collection, for
``--doctest-modules``, while the import hook supersedes it: pytest would stop at "import file
mismatch" or, in importlib mode, run the old file under that name for all tests that follow. A file
that is named on the command line is collected all the same.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from seedcore_ray import _hook_status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from seedcore_ray import Connection
    from seedcore_ray.testing import ExistingCluster, FakeRay, RayHead

_SUPERSEDED = {
    (*name.split(".")[:-1], f"{name.rpartition('.')[2]}.py") for name in _hook_status.NAMES
}
_OPTION = "--seedcore-ray-address"
_FOR_THE_MARKER = "_environment_leads_to_the_head"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out a host's own copy of the two modules; None, pytest's own choice, for the rest."""
    superseded = collection_path.parts[-3:] in _SUPERSEDED and _hook_status.hook_in_force()
    return True if superseded else None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--seedcore-ray-address``."""
    parser.getgroup("seedcore-ray").addoption(
        _OPTION,
        metavar="ADDRESS",
        help="run on this cluster (auto, host:port or ray://host[:port]) in place of our own head",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the ``ray`` marker."""
    config.addinivalue_line(
        "markers", "ray: start a Ray head for this test, and let RAY_ADDRESS lead to it"
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give the head to tests that are marked with ``ray``."""
    names = getattr(item, "fixturenames", None)
    if names is not None and _FOR_THE_MARKER not in names and item.get_closest_marker("ray"):
        names.insert(0, _FOR_THE_MARKER)


@pytest.fixture(scope="session")
def ray_head_options() -> Mapping[str, Any]:
    """Keyword arguments for the ``RayHead`` of ``ray_head``; override it to change that one."""
    return {}


# Used by the other fixtures, since a suite may have a ``ray_head`` of its own.
@pytest.fixture(scope="session")
def _head_of_the_session(
    pytestconfig: pytest.Config, ray_head_options: Mapping[str, Any]
) -> Iterator[RayHead | ExistingCluster]:
    from seedcore_ray.testing import ExistingCluster, RayHead

    given: str | None = pytestconfig.getoption(_OPTION)
    if given is not None:
        yield ExistingCluster(given)
        return
    with RayHead(**ray_head_options) as head:
        yield head


@pytest.fixture(scope="session")
def ray_head(_head_of_the_session: RayHead | ExistingCluster) -> RayHead | ExistingCluster:
    """A private Ray head, started at first use, gone when the run ends, however it ends.

    Shared by all tests of the process: under pytest-xdist each worker has one of its own. With
    ``--seedcore-ray-address`` it is that cluster. ``address`` is what to connect to, ``env()`` the
    variables that a program needs for it.
    """
    return _head_of_the_session


@pytest.fixture
def ray_namespace() -> str:
    """A Ray namespace that no other test has, so that names of actors do not meet."""
    from uuid import uuid4

    return f"test-{uuid4().hex[:12]}"


@pytest.fixture
def _environment_leads_to_the_head(
    _head_of_the_session: RayHead | ExistingCluster, ray_namespace: str
) -> Iterator[None]:
    already = _is_connected()
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("SEEDCORE_NS", raising=False)
        for name, value in _head_of_the_session.env().items():
            environment.setenv(name, value)
        environment.setenv("RAY_ADDRESS", _head_of_the_session.address)
        environment.setenv("RAY_NAMESPACE", ray_namespace)
        yield
        if not already and _is_connected():
            from seedcore_ray import _core

            _core.shutdown_ray()


@pytest.fixture
def ray_connected(_environment_leads_to_the_head: None) -> Connection:
    """This process is connected to ``ray_head``, in ``ray_namespace``, until the test ends.

    ``RAY_ADDRESS`` and ``RAY_NAMESPACE`` say so too: what is tested may connect by itself.
    """
    from seedcore_ray import _core

    if _is_connected():
        raise RuntimeError(
            "ray_connected: this process is connected to Ray already; disconnect first, or leave"
            " this fixture out"
        )
    _core.connect()
    return _core.connection()


@pytest.fixture
def fake_ray() -> Iterator[FakeRay]:
    """A stand-in for ``ray`` in ``sys.modules`` until the test ends; no Ray is needed."""
    from seedcore_ray.testing import FakeRay

    with FakeRay() as fake:
        yield fake


def _is_connected() -> bool:
    from seedcore_ray import _stub

    # It may be a stand-in of the host's, with nothing of Ray's.
    return _stub.available(sys.modules.get("ray"))
