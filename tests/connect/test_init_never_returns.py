"""``ray.init`` that outlives its time: a Ray Client server whose ping answers and nothing else."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support import SOON_S, GrpcPeer
from tests.support.scenario import start

_ENV = {"SEEDCORE_RAY_INIT_TIMEOUT_S": "1.5", "SEEDCORE_RAY_CONNECT_TIMEOUT_S": "30"}

_STUCK = """
import ray
ok, seconds = timed(ensure_ray_initialized)
report(ok=ok, seconds=seconds, error=error(), state=held()["state"], errors=logged("ERROR"))
ok, seconds = timed(ensure_ray_initialized, connect_timeout_s=1)
report(joined=ok, joined_seconds=seconds, joined_errors=logged("ERROR"))
del os.environ["SEEDCORE_RAY_INIT_TIMEOUT_S"]  # what follows is real and takes its time
mark("stuck")
"""
_LATER = {
    "adopted": """
deadline = time.monotonic() + 30
while held()["state"] != "connected" and time.monotonic() < deadline:
    time.sleep(0.02)
report(state_after=held()["state"], ok_after=ensure_ray_initialized(), error_after=error(),
       task=ray.get(ray.remote(lambda: 42).remote()), said=logged("INFO"))
""",
    "shutdown": """
shutdown_ray()
mark("go")
deadline = time.monotonic() + 30
while held()["state"] == "connecting" and time.monotonic() < deadline:
    time.sleep(0.02)
report(state_after=held()["state"], initialized=ray.is_initialized(),
       said=logged("INFO", "connected to Ray"))
report(again=ensure_ray_initialized(connect_timeout_s=20), last=held()["state"])
""",
    "other_target": """
other = threading.Thread(target=lambda: report(
    other=ensure_ray_initialized(sys.argv[1], connect_timeout_s=30)))
other.start()
time.sleep(0.5)
mark("go")
other.join(40)
report(state_after=held()["state"], address=held()["address"],
       task=ray.get(ray.remote(lambda: 42).remote()), generation=seedcore_ray.generation())
""",
}


@pytest.mark.parametrize("later", list(_LATER))
def test_a_late_success_is_adopted_or_taken_down(ray_head: RayHead, later: str) -> None:
    with GrpcPeer.ray_client() as peer:
        env = {**_ENV, "RAY_ADDRESS": peer.client_address}
        with start(_STUCK + _LATER[later], ray_head.gcs_address, env=env) as program:
            program.wait_for_mark("stuck")
            if later != "adopted":
                program.wait_for_mark("go")
            peer.forward(f"127.0.0.1:{ray_head.client_port}", ping_too=True)
            told = program.finish(60).ok().fields
    assert told["ok"] is False and 1.4 < told["seconds"] < SOON_S
    assert told["error"] is None or told["error"]["kind"] == "init_timeout"
    assert told["state"] == "connecting"
    assert len(told["errors"]) == 1 and "SEEDCORE_RAY_INIT_TIMEOUT_S" in told["errors"][0]
    assert told["joined"] is False and 0.9 < told["joined_seconds"] < SOON_S
    assert told["joined_errors"] == told["errors"]
    if later == "adopted":
        assert told["state_after"] == "connected" and told["ok_after"] and told["task"] == 42
        assert told["error_after"] is None and len(told["said"]) == 1
    elif later == "shutdown":
        assert told["state_after"] == "idle" and not told["initialized"] and told["said"] == []
        assert told["again"] and told["last"] == "connected"
    else:
        assert told["other"] and told["address"] == ray_head.gcs_address
        assert told["task"] == 42 and told["generation"] == 1
