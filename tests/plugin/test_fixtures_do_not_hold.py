"""What a host's test gets from each fixture, the marker and the option; nothing is left over."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.plugin.conftest import Play

_OPTION = "--seedcore-ray-address"


def test_each_of_them_on_an_existing_cluster(
    play: Play, pytester: pytest.Pytester, ray_head: RayHead
) -> None:
    pytester.makepyfile(
        """
        import os, sys, unittest
        import pytest
        from seedcore.utils.ray_utils import ensure_ray_initialized

        def connected():
            ray = sys.modules.get("ray")
            return ray is not None and ray.is_initialized()

        def leads_there():
            names = "RAY_ADDRESS", "RAY_NAMESPACE"
            return [name in os.environ for name in names] == [True, True]

        def test_unmarked():
            assert "ray" not in sys.modules and "RAY_ADDRESS" not in os.environ

        @pytest.mark.ray
        def test_marked(ray_namespace):
            assert leads_there() and not connected()
            assert ensure_ray_initialized(connect_timeout_s=20)
            import ray
            assert ray.get_runtime_context().namespace == ray_namespace

        def test_disconnected_after_it():
            assert not connected() and "RAY_ADDRESS" not in os.environ

        @pytest.mark.ray
        class TestOfUnittest(unittest.TestCase):
            def test_marked(self):
                assert leads_there()

        namespaces = []

        @pytest.mark.parametrize("turn", [1, 2])
        def test_connected(ray_connected, ray_head, ray_namespace, turn):
            import ray
            assert ray_connected.address == ray_head.address == os.environ["RAY_ADDRESS"]
            assert ray_connected.namespace == ray_namespace
            assert ray.get_runtime_context().namespace == ray_namespace
            # Both turns may have the name: each has a namespace of its own.
            actor = ray.remote(type("Actor", (), {"turn": lambda self: turn}))
            actor = actor.options(name="actor", num_cpus=0, lifetime="detached").remote()
            assert ray.get(ray.get_actor("actor").turn.remote()) == turn
            namespaces.append(ray_namespace)
            if turn == 2:
                for namespace in namespaces:
                    ray.kill(ray.get_actor("actor", namespace=namespace))

        def test_nothing_is_started(ray_head):
            assert type(ray_head).__name__ == "ExistingCluster" and not connected()

        def test_connected_by_somebody_else(ray_head, request):
            import ray
            ray.init(ray_head.address, namespace="theirs")
            with pytest.raises(RuntimeError, match="connected to Ray already"):
                request.getfixturevalue("ray_connected")

        def test_theirs_stays_connected():
            assert connected()
        """
    )
    play(_OPTION, ray_head.address, "-v").assert_outcomes(passed=9)


def test_a_suite_with_a_ray_head_of_its_own(
    play: Play, pytester: pytest.Pytester, ray_head: RayHead
) -> None:
    pytester.makeconftest(
        """
        import pytest

        def pytest_addoption(parser):
            parser.addoption("--ray-address", default="theirs")

        @pytest.fixture
        def ray_head(request):
            return request.config.getoption("--ray-address")
        """
    )
    pytester.makepyfile(
        """
        def test_theirs(ray_head):
            assert ray_head == "theirs"

        def test_ours(ray_connected, ray_head):
            assert ray_connected.state == "connected" and ray_head == "theirs"
        """
    )
    play(_OPTION, ray_head.address).assert_outcomes(passed=2)


def test_the_examples_of_the_document(
    play: Play, pytester: pytest.Pytester, ray_head: RayHead, examples: list[str]
) -> None:
    # test_head_outlives_the_run.py plays the other.
    of_the_fixtures, _ = examples
    pytester.makepyfile(of_the_fixtures)
    play(_OPTION, ray_head.address).assert_outcomes(passed=4)


def test_an_address_that_leads_nowhere_is_told_with_its_cause(
    play: Play, pytester: pytest.Pytester, fresh_env: pytest.MonkeyPatch
) -> None:
    fresh_env.setenv("SEEDCORE_RAY_CONNECT_TIMEOUT_S", "0")
    pytester.makepyfile("def test_never(ray_connected): ...")
    done = play(_OPTION, "no such://address")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*RayConnectionError*no such://address*"])
