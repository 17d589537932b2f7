"""Test suites put a stand-in for ``ray`` into ``sys.modules``, and take it out again."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support.modes import MOSTLY_NATIVE
from tests.support.scenario import play

_FAKES = """
import types
from unittest.mock import MagicMock
class Calls(list):
    def noted(self, name, result):
        return lambda *args, **kwargs: (self.append([name, kwargs]), result)[1]
def fakes():
    calls = Calls()
    state = {"up": False}
    def init(*args, **kwargs):
        calls.append(["init", kwargs])
        state["up"] = True
    def down():
        state["up"] = False
    full = dict(init=init, shutdown=down, is_initialized=lambda: state["up"])
    module = types.ModuleType("ray")
    vars(module).update(full)
    never = MagicMock()
    never.is_initialized.return_value = False
    broken = types.SimpleNamespace(
        init=lambda **kwargs: 1 / 0, is_initialized=lambda: 1 / 0, shutdown=lambda: 1 / 0)
    # name, the fake, what ensure answers, what is_ray_available answers after it
    return calls, [
        ("namespace", types.SimpleNamespace(**full), True, True),
        ("module", module, True, True),
        ("mock", MagicMock(), True, True),
        ("mock_down", never, True, False),
        ("nothing", types.SimpleNamespace(), False, False),
        ("bare_module", types.ModuleType("ray"), False, False),
        ("only_init", types.SimpleNamespace(init=lambda **kwargs: None), True, False),
        ("broken", broken, False, False),
        ("an_object", object(), False, False),
    ]
def try_all():
    calls, cases = fakes()
    told = []
    for name, fake, ok, available in cases:
        sys.modules["ray"] = fake
        answers = [ensure_ray_initialized("fake-head:6379", "there", num_cpus=1),
                   is_ray_available(), is_connected()]
        expected = [ok, available, available]
        for status in (get_ray_cluster_info, get_connection_info, get_ray_node_ip, held):
            status()
        forced = ensure_ray_initialized(force_reinit=True)
        shutdown_ray()
        told.append([name, answers == expected, answers, forced == ok])
        del sys.modules["ray"]
    return told, calls
"""


def test_a_fake_is_asked_for_everything_and_misses_nothing() -> None:
    told = play(_FAKES + "\ntold, calls = try_all()\nreport(told=told, calls=calls)\n")
    for name, as_expected, answers, forced in told["told"]:
        assert as_expected and forced, (name, answers)
    first = told["calls"][0]
    assert first[0] == "init"
    assert first[1] == {
        "address": "fake-head:6379",
        "namespace": "there",
        "ignore_reinit_error": True,
        "num_cpus": 1,
    }


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_when_the_real_ray_is_back_so_is_our_connection(ray_head: RayHead, mode: str) -> None:
    told = play(
        _FAKES
        + """
import ray
ensure_ray_initialized()
before = held()
told, calls = try_all()
sys.modules["ray"] = ray
report(told=told, available=is_ray_available(), task=ray.get(ray.remote(lambda: 42).remote()),
       ok=ensure_ray_initialized(), before=before["generation"], after=held()["generation"],
       state=held()["state"])
sys.modules["ray"] = None
report(gone=[ensure_ray_initialized(), is_connected(), held()["state"]])
sys.modules["ray"] = ray
report(back=[ensure_ray_initialized(), is_connected(), seedcore_ray.generation()])
""",
        RAY_ADDRESS=ray_head.gcs_address if mode == "native" else ray_head.client_address,
    )
    for name, as_expected, answers, forced in told["told"]:
        assert as_expected and forced, (name, answers)
    assert told["available"] and told["task"] == 42 and told["ok"]
    assert (told["before"], told["after"], told["state"]) == (1, 1, "connected")
    assert told["gone"][:2] == [False, False]
    assert told["back"] == [True, True, 1]
