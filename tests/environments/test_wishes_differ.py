"""Two modules of one process connect, each with arguments of its own."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support.modes import MOSTLY_NATIVE
from tests.support.scenario import play


@pytest.mark.parametrize("mode", ["native", "client"])
def test_the_second_caller_is_told_once_for_each_wish(ray_head: RayHead, mode: str) -> None:
    told = play(
        """
secret = {"env_vars": {"PASSWORD": "hunter2"}}
assert ensure_ray_initialized(runtime_env={"env_vars": {"A": "1"}}), error()
wishes = ({"runtime_env": secret}, {"runtime_env": secret}, {"runtime_env": {"env_vars": {}}},
          {"runtime_env": {"env_vars": {"A": "1"}}}, {"ignore_reinit_error": True}, {})
for wish in wishes:
    assert ensure_ray_initialized(**wish)
    report(count=len(logged("WARNING")))
import asyncio
async def main():
    await seedcore_ray.ensure_ray_initialized_async(runtime_env=secret, log_to_driver=False)
asyncio.run(main())
report(warned=logged("WARNING"), inits=seedcore_ray.generation())
""",
        RAY_ADDRESS=ray_head.gcs_address if mode == "native" else ray_head.client_address,
    )
    assert (told["count"], told["inits"]) == (2, 1)
    first, second, third = told["warned"]
    assert "runtime_env (env_vars)" in first and "force_reinit=True" in first
    assert "hunter2" not in first + second + third
    assert "log_to_driver" in third


def test_whoever_shares_a_connect_is_told_too(ray_head: RayHead) -> None:
    told = play(
        """
def call(number):
    ensure_ray_initialized(runtime_env={"env_vars": {"A": str(number)}})
threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
report(warned=len(logged("WARNING")), generation=seedcore_ray.generation())
""",
        RAY_ADDRESS=ray_head.gcs_address,
    )
    assert told == {"warned": 3, "generation": 1}


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_a_bare_call_renews_what_somebody_else_has_shut_down(ray_head: RayHead, mode: str) -> None:
    told = play(
        """
import ray
events = []
seedcore_ray.on_event(events.append)
assert ensure_ray_initialized(sys.argv[1], "elsewhere", runtime_env={"env_vars": {"A": "1"}})
ray.shutdown()
assert ensure_ray_initialized(), error()
env = ray.get(ray.remote(lambda: os.environ.get("A")).remote())
where = [held()["address"], held()["namespace"]]
end = time.monotonic() + 10
while len(events) < 3 and time.monotonic() < end:
    time.sleep(0.01)
shutdown_ray()
# Our own shutdown is on purpose: what follows begins anew.
report(env=env, where=where, events=[event.name for event in events],
       lived=events[1].after_s is not None)
ensure_ray_initialized(connect_timeout_s=0)  # `auto`: finds a Ray of this machine, or none
report(anew=held()["namespace"] if is_connected() else None)
""",
        ray_head.gcs_address if mode == "native" else ray_head.client_address,
        RAY_ENABLE_AUTO_CONNECT="0",
    )
    assert told["env"] == "1" and told["lived"]
    assert told["where"][1] == "elsewhere"
    assert told["events"] == ["connected", "shutdown", "connected"]
    assert told["anew"] in ("seedcore-dev", None)
