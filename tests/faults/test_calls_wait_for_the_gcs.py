"""Calls that wait for the GCS, natively: what they cost the process when the GCS goes away."""

from __future__ import annotations

import signal
import time

import pytest

from seedcore_ray.testing import RayHead
from tests.support.monitored import SHORT
from tests.support.scenario import play, start

# Where Ray is reached; what of it is replaced while calls are guarded.
_REPLACED = """
import ray
from ray import available_resources, cluster_resources, get_actor, nodes
from ray._private import state as private
from ray._private.worker import global_worker
from monitoring import *
def replaced():
    owners = global_worker, private.state, global_worker.function_actor_manager
    own = {"check_connected", "_connect_and_get_accessor", "_check_connected", "disconnect",
           "node_table", "total_resources_per_node", "available_resources_per_node",
           "export", "export_actor_class"}
    return sorted(own & {name for owner in owners for name in vars(owner)})
"""


def test_tables_are_rays_own_and_ray_is_left_as_it_was(ray_head: RayHead) -> None:
    told = play(
        _REPLACED
        + """
from seedcore_ray._ray import guarded_calls
functions = (nodes, cluster_resources, available_resources, ray.nodes,
             private.total_resources_per_node, private.available_resources_per_node)
def tables():
    return [function() for function in functions]
assert ensure_ray_initialized(sys.argv[1]), error()
await_true(replaced, 30)
guarded = replaced()
tables()  # Ray's own keys are learnt from its first answer
ours = tables()
guarded_calls.remove()
report(guarded=guarded, ours=ours, rays=tables(), removed=replaced(),
       types=[repr(sorted(table.items())) for table in ours[1:3]],
       rays_types=[repr(sorted(table.items())) for table in tables()[1:3]])
shutdown_ray()
assert ensure_ray_initialized(sys.argv[1]), error()
await_true(replaced, 30)
ray.shutdown()  # behind our back
after = replaced()
os.environ["SEEDCORE_RAY_GUARD_CALLS"] = "0"
assert ensure_ray_initialized(sys.argv[1]), error()
time.sleep(0.5)
report(after=after, off=replaced(), works=ray.get(ray.remote(lambda: 42).remote(), timeout=30))
""",
        ray_head.gcs_address,
    )
    assert len(told["guarded"]) == 8
    assert told["ours"] == told["rays"]
    assert told["types"] == told["rays_types"]
    assert told["ours"][0][0]["Alive"] and told["ours"][1]["CPU"] > 0
    assert told["removed"] == told["after"] == told["off"] == []
    assert told["works"] == 42


_CALLS = (
    _REPLACED
    + """
import asyncio
seedcore_ray.on_event(hear)
seedcore_ray.start_monitor(interval_s=0.5, release="always")
class Actor:
    def ping(self):
        return 42
def new_function():
    return ray.remote(lambda: 42).options(num_cpus=0)
assert ensure_ray_initialized(sys.argv[1]), error()
actor = ray.remote(Actor).options(num_cpus=0, name="a").remote()
assert ray.get(actor.ping.remote(), timeout=60) == 42
nodes()
await_true(replaced, 30)
calls = {
    "get_actor": lambda: get_actor("a"),
    "resources": cluster_resources,
    "nodes": nodes,
    "timeline": ray.timeline,
    "function": lambda: ray.get(new_function().remote(), timeout=60),
    "class": lambda: ray.remote(type("B", (), {})).options(num_cpus=0).remote(),
}
outcomes = {}
def one(name, call=None):
    def run():
        try:
            (call or calls[name])()
            outcomes[name] = "ok"
        except BaseException as raised:
            outcomes[name] = words(raised)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread
def is_inside(thread):
    frame = sys._current_frames().get(thread.ident)
    while frame is not None:
        if frame.f_globals["__name__"].startswith(("ray.", "seedcore_ray.")):
            return True
        frame = frame.f_back
    return False
def all_at_once():
    outcomes.clear()
    return [one(name) for name in calls]
"""
)


@pytest.mark.soak
def test_they_wait_for_a_gcs_that_is_back_in_time(own_head: RayHead) -> None:
    program = start(
        _CALLS
        + """
mark("up")
sys.stdin.readline()
threads = all_at_once()
await_true(lambda: all(map(is_inside, threads)), 30)
await_state("unhealthy")
late = one("late", lambda: get_actor("a"))
await_true(lambda: is_inside(late), 30)
early = dict(outcomes)
async def on_a_loop():
    began = time.monotonic()
    try:
        get_actor("a")
    except seedcore_ray.RayConnectionError as raised:
        return [time.monotonic() - began, raised.kind, str(raised)]
loop = asyncio.run(on_a_loop())
mark("waiting")
try:
    get_actor("a")
except KeyboardInterrupt:
    interrupted = time.monotonic()
mark("interrupted")
sys.stdin.readline()
for thread in [*threads, late]:
    thread.join(60)
report(early=early, loop=loop, interrupted=interrupted, outcomes=outcomes, states=names(),
       again=ray.get(new_function().remote(), timeout=60))
""",
        own_head.gcs_address,
        # A grace that a busy machine does not use up.
        env={"SEEDCORE_RAY_LOSS_GRACE_S": "45"},
    )
    with program:
        program.wait_for_mark("up", 120)
        own_head.freeze("gcs_server")
        program.tell("frozen")
        program.wait_for_mark("waiting")
        time.sleep(0.2)  # it may not be inside get_actor yet; then it is interrupted there later
        sent = program.signal(signal.SIGINT)
        program.wait_for_mark("interrupted")
        own_head.thaw("gcs_server")
        program.tell("thawed")
        told = program.finish(120).ok().fields
    assert told["early"] == {}, "none came back while the GCS was frozen"
    seconds, kind, text = told["loop"]
    assert seconds < 4 and kind == "timeout" and "asyncio.to_thread" in text
    assert told["interrupted"] - sent < 1
    assert told["outcomes"] == dict.fromkeys(
        ("get_actor", "resources", "nodes", "timeline", "function", "class", "late"), "ok"
    )
    assert told["again"] == 42 and "lost" not in told["states"]


def test_they_end_with_the_loss_and_work_after_it(own_head: RayHead) -> None:
    program = start(
        _CALLS
        + """
task = new_function()
mark("up")
sys.stdin.readline()
threads = [*all_at_once(), one("task", lambda: task.remote())]
for thread in threads:
    thread.join(60)
report(outcomes=outcomes)
mark("lost")
await_true(lambda: "reconnected" in names())
report(task=ray.get(task.remote(), timeout=60), nodes=len(nodes()),
       missing=one("get_actor").join(60) or outcomes["get_actor"])
""",
        own_head.gcs_address,
        env=SHORT,
    )
    with program:
        program.wait_for_mark("up", 120)
        own_head.kill("gcs_server")  # with its raylet the loss would come before the calls
        program.tell("gone")
        program.wait_for_mark("lost")
        own_head.restart()
        told = program.finish(120).ok().fields
    assert set(told["outcomes"].values()) == {"RayConnectionError(lost)"}
    # The function's mark was taken back: it is exported to the new cluster. The actor is not there.
    assert (told["task"], told["nodes"], told["missing"]) == (42, 1, "ValueError")


@pytest.mark.soak
@pytest.mark.parametrize("call", ["get_actor", "resources", "function", "class"])
def test_a_loop_of_them_outlives_a_head_that_is_gone_for_long(own_head: RayHead, call: str) -> None:
    program = start(
        _CALLS
        + """
del os.environ["RAY_gcs_rpc_server_reconnect_timeout_s"]
came_back = []
def loop():
    while True:
        try:
            calls[sys.argv[2]]()
            came_back.append(seedcore_ray.generation())
        except (seedcore_ray.RayConnectionError, ray.exceptions.RayError):
            pass
        except ValueError:  # the actor of the old cluster
            ray.remote(Actor).options(num_cpus=0, name="a", get_if_exists=True).remote()
        time.sleep(0.02)
threading.Thread(target=loop, daemon=True).start()
await_true(lambda: len(came_back) > 3)
mark("looping")
sys.stdin.readline()
await_true(lambda: "reconnected" in names())
await_true(lambda: came_back.count(2) > 3, 60)
report(names=names())
""",
        own_head.gcs_address,
        call,
        env={"RAY_gcs_rpc_server_reconnect_timeout_s": "60"},
    )
    with program:
        program.wait_for_mark("looping", 120)
        own_head.shut()
        time.sleep(120)
        own_head.start()
        program.tell("back")
        assert "reconnected" in program.finish(240).ok().fields["names"]
