"""``connect`` and ``connect_async``: ``ensure_ray_initialized`` that raises."""

from __future__ import annotations

import inspect

import pytest
from seedcore.utils import ray_connector

import seedcore_ray
from seedcore_ray.testing import RayHead
from tests.support import SOON_S, closed_port
from tests.support.scenario import play

_TWINS = """
import asyncio, ray

def connect_awaited(*args, **kwargs):
    return asyncio.run(seedcore_ray.connect_async(*args, **kwargs))

def raised_by(call, *args, **kwargs):
    try:
        return call(*args, **kwargs)
    except Exception as raised:
        return {"type": type(raised).__name__, "message": str(raised), **vars(raised)}

twin = {"connect": connect, "connect_async": connect_awaited}[sys.argv[1]]
"""


def test_the_twin_has_the_same_signature() -> None:
    assert seedcore_ray.connect is ray_connector.connect
    ours = inspect.signature(seedcore_ray.connect_async).parameters.values()
    theirs = inspect.signature(ray_connector.connect).parameters.values()
    described = [[(each.name, each.default, each.kind) for each in own] for own in (ours, theirs)]
    assert described[0] == described[1]


@pytest.mark.parametrize("name", ["connect", "connect_async"])
def test_arguments_arrive_and_a_live_connection_is_kept(ray_head: RayHead, name: str) -> None:
    told = play(
        _TWINS
        + """
_, address, dead = sys.argv[1:]
inits = count_inits()
told = {"returned": twin(address, "mine", runtime_env={"env_vars": {"A": "1"}}),
        "namespace": namespace()}
# Connected: without arguments, with the same, and twice with another address.
for again in ((), (address,), (dead, "mine"), (dead, "mine")):
    twin(*again)
told["warned"] = logged("WARNING", "asked for")
told["inits"] = len(inits)
told["kept"] = raised_by(twin, dead, force_reinit=True, connect_timeout_s=0)
told["still"] = [held()["address"], ray.get(ray.remote(lambda: os.environ["A"]).remote())]
told["named"] = held()["namespace"]
twin(address, "other", True)
told["anew"] = [namespace(), len(inits), held()["generation"]]
report(env=[each.get("runtime_env") for each in inits], **told)
""",
        name,
        ray_head.gcs_address,
        f"127.0.0.1:{closed_port()}",
    )
    assert told["returned"] is None and told["namespace"] == told["named"] == "mine"
    assert len(told["warned"]) == 1 and told["inits"] == 1
    assert told["kept"]["type"] == "RayConnectionError" and told["kept"]["kind"] == "refused"
    assert told["still"] == [ray_head.gcs_address, "1"]
    assert told["anew"] == ["other", 2, 2]
    assert told["env"][0]["env_vars"] == {"A": "1"} and told["env"][1] is None


@pytest.mark.parametrize("name", ["connect", "connect_async"])
def test_failures_and_mistakes_are_raised(name: str) -> None:
    dead = f"127.0.0.1:{closed_port()}"
    told = play(
        _TWINS
        + """
dead = sys.argv[2]
report(once=timed(raised_by, twin, dead, connect_timeout_s=0),
       bounded=timed(raised_by, twin, dead, connect_timeout_s=1),
       at_once=timed(raised_by, twin, dead),
       mistakes=[raised_by(twin, dead, **mistake)["type"] for mistake in (
           {"connect_timeout_s": -1}, {"connect_timeout_s": "1"}, {"address": dead},
           {"ray_namespace": 7})],
       words=raised_by(twin, address=dead)["message"])
""",
        name,
        dead,
    )
    once, seconds = told["once"]
    assert seconds < SOON_S
    assert (once["type"], once["kind"], once["address"]) == ("RayConnectionError", "refused", dead)
    assert once["attempts"] == 1 and once["hint"] and once["retry_after_s"] is None
    bounded, seconds = told["bounded"]
    assert bounded["kind"] == "refused" and 0.5 < seconds < 1 + SOON_S
    # The breaker: this very call has just failed.
    at_once, seconds = told["at_once"]
    assert at_once["kind"] == "circuit_open" and at_once["retry_after_s"] > 0 and seconds < SOON_S
    assert told["mistakes"] == ["ValueError", "TypeError", "TypeError", "TypeError"]
    assert "ray_address" in told["words"]
