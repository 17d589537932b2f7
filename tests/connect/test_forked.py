"""Children of ``os.fork``: of a connected process, of one that is not, of one that is at it."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support import SOON_S, SilentListener
from tests.support.modes import MOSTLY_NATIVE
from tests.support.scenario import play


@pytest.mark.parametrize("mode", ["native", "client"])
def test_a_child_of_a_connected_process_is_told_at_once(ray_head: RayHead, mode: str) -> None:
    told = play(
        """
ensure_ray_initialized()
is_ray_available()  # our own thread runs too
def body():
    ok, seconds = timed(ensure_ray_initialized)
    forced, forced_seconds = timed(ensure_ray_initialized, force_reinit=True)
    status = timed(lambda: [held()["state"], is_connected(), is_ray_available(),
                            get_ray_cluster_info()["status"], get_connection_info()["status"],
                            wait_for_ray_ready(0.2), test_ray_connection()])
    shutdown_ray()
    grandchild = told_by_child(lambda: [ensure_ray_initialized(), caught()["kind"]])
    return {"ok": [ok, forced], "seconds": seconds + forced_seconds, "raised": caught(),
            "status": status, "errors": logged("ERROR"), "grandchild": grandchild}
import ray
report(child=told_by_child(body), parent=[ensure_ray_initialized(), is_ray_available(),
       ray.get(ray.remote(lambda: 42).remote())])
""",
        RAY_ADDRESS=ray_head.gcs_address if mode == "native" else ray_head.client_address,
        # gRPC starts its threads anew in a child, and they crash at times if that child
        # forks as well: 4 of 700 grandchildren of a Ray Client ended with SIGSEGV in `cygrpc`.
        GRPC_ENABLE_FORK_SUPPORT="0",
    )
    child = told["child"]
    assert child["ok"] == [False, False] and child["seconds"] < SOON_S
    assert child["raised"]["kind"] == "forked"
    assert "after the fork" in child["raised"]["hint"] and "spawn" in child["raised"]["hint"]
    status, seconds = child["status"]
    assert status == ["failed", False, False, "not_available", "not_connected", False, False]
    assert seconds < SOON_S
    assert child["grandchild"] == [False, "forked"]
    assert told["parent"] == [True, True, 42]


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_a_child_forked_before_connecting_connects(ray_head: RayHead, mode: str) -> None:
    told = play(
        """
import ray
report(before=ensure_ray_initialized("127.0.0.1:1", connect_timeout_s=0))
def body():
    ok = ensure_ray_initialized()
    return {"ok": ok, "task": ray.get(ray.remote(lambda: 42).remote()),
            "mode": held()["mode"], "pid": os.getpid()}
report(children=[told_by_child(body), told_by_child(body)], parent=body())
""",
        RAY_ADDRESS=ray_head.gcs_address if mode == "native" else ray_head.client_address,
    )
    assert told["before"] is False
    for each in (*told["children"], told["parent"]):
        assert each["ok"] and each["task"] == 42 and each["mode"] == mode


def test_a_fork_while_another_thread_probes_or_waits(ray_head: RayHead) -> None:
    with SilentListener() as silent:
        told = play(
            """
import ray
silent, real = sys.argv[1:]
waiting = threading.Thread(
    target=lambda: report(waited=ensure_ray_initialized(silent, connect_timeout_s=4)))
waiting.start()
while held()["state"] != "connecting":
    time.sleep(0.01)
children = []
for _ in range(10):
    children.append(told_by_child(lambda: [
        held()["state"],
        timed(ensure_ray_initialized, "127.0.0.1:1", connect_timeout_s=0),
        error()["kind"]]))
children.append(told_by_child(lambda: [
    held()["state"], [ensure_ray_initialized(real), 0], ray.get(ray.remote(lambda: 42).remote())]))
waiting.join(60)
report(children=children, parent=error()["kind"])
""",
            silent.address,
            ray_head.gcs_address,
        )
    *probing, connected = told["children"]
    for state, (ok, seconds), kind in probing:
        assert (state, ok, kind) == ("idle", False, "refused") and seconds < SOON_S
    assert connected == ["idle", [True, 0], 42]
    assert told["waited"] is False and told["parent"] == "timeout"
