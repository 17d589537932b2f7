"""Connecting: what we add to ``ray.init``, a head that comes late, many callers at once."""

from __future__ import annotations

from functools import partial

from benches.figures import Check, Figure, Row
from benches.lab import Fields, Lab, fields, median_of, rounds
from seedcore_ray.testing import RayHead
from tests.support.programs import Program

MODES = ("native", "client")

# Wraps ray.init before we are called: how often, since when and how long.
INIT_TIMER = """
    import ray, sys, threading, time
    from seedcore.utils.ray_utils import ensure_ray_initialized

    inits = []
    plain_init = ray.init

    def timed_init(*args, **kwargs):
        began, monotonic = time.perf_counter(), time.monotonic()
        try:
            return plain_init(*args, **kwargs)
        finally:
            inits.append((monotonic, time.perf_counter() - began))

    ray.init = timed_init
"""
NET = (
    INIT_TIMER
    + """
    began = time.perf_counter()
    assert ensure_ray_initialized(sys.argv[1])
    wall = time.perf_counter() - began
    report(wall=wall, seconds=wall - sum(seconds for _, seconds in inits), inits=len(inits))
"""
)
_BARE = """
    import ray, sys, time
    began = time.perf_counter()
    ray.init(sys.argv[1], namespace="seedcore-dev", logging_level="ERROR")
    report(wall=time.perf_counter() - began)
"""
_LATE = (
    INIT_TIMER
    + """
    mark("waiting")
    assert ensure_ray_initialized(sys.argv[1], connect_timeout_s=60)
    report(init_began=inits[0][0])
"""
)
# What a patient script does: try, sleep a little, try again.
_POLL = """
    import sys, time
    import grpc
    address, method, request = sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3])
    mark("waiting")
    while True:
        try:
            with grpc.insecure_channel(address) as channel:
                channel.unary_unary(method)(request, timeout=0.5)
            break
        except grpc.RpcError:
            time.sleep(0.05)
    report(answered=time.monotonic())
"""
_MANY = (
    INIT_TIMER
    + """
    import os
    count = int(sys.argv[2])
    answers = []
    start = threading.Barrier(count + 1)

    def caller():
        start.wait()
        answers.append(ensure_ray_initialized(sys.argv[1]))

    threads = [threading.Thread(target=caller) for _ in range(count)]
    for thread in threads:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - began
    report(seconds=wall, inits=len(inits), ok=answers == [True] * count)
    mark("connected")
    sys.stdin.read()
"""
)
_PROBES = {
    "native": ("/ray.rpc.NodeInfoGcsService/CheckAlive", ""),
    "client": ("/ray.rpc.RayletDriver/ClusterInfo", "0806"),
}
_THREADS = 64


def address_of(head: RayHead, mode: str) -> str:
    """The head's address for a mode."""
    return head.gcs_address if mode == "native" else head.client_address


def rows(lab: Lab) -> list[Row]:
    """All of them, both modes."""
    head = lab.head
    net = [_net_row(head, mode) for mode in MODES]
    many = [_many_row(head, mode) for mode in MODES]
    # Last: it stops and starts the head.
    return [*net, *many, *(_late_row(head, mode) for mode in MODES)]


def _net_row(head: RayHead, mode: str) -> Row:
    address, env = address_of(head, mode), head.env()
    ours = [fields(NET, address, env=env) for _ in range(10)]
    # Beside it for orientation only, hence fewer.
    bare = [fields(_BARE, address, env=env) for _ in range(3)]
    figure = median_of(ours)
    return Row(
        f"our call minus ray.init inside it, {mode}",
        figure,
        checks=(
            Check.below(figure, 15e-3),
            Check("one ray.init", all(sample["inits"] == 1 for sample in ours)),
        ),
        note=f"whole call {median_of(ours, 'wall')}, bare ray.init {median_of(bare, 'wall')}",
        extra={"ours": ours, "bare": bare},
    )


def _many_row(head: RayHead, mode: str) -> Row:
    one, many = rounds(5, partial(_callers, head, mode, 1), partial(_callers, head, mode, _THREADS))
    single, together = median_of(one), median_of(many)
    servers = 1 if mode == "client" else 0
    return Row(
        f"{_THREADS} threads at once, {mode}",
        together,
        checks=(
            Check.at_most(together, 1.15, single, f"one caller ({single})"),
            Check("one ray.init", all(sample["inits"] == 1 for sample in many)),
            Check(
                f"servers on the head: {servers}",
                all(sample["servers"] == servers for sample in many),
            ),
            Check("all answer True", all(sample["ok"] for sample in many)),
        ),
        extra={"one": one, "many": many},
    )


def _callers(head: RayHead, mode: str, count: int) -> Fields:
    before = {process.pid for process in head.client_servers()}
    with Program(_MANY, address_of(head, mode), str(count), env=head.env()) as program:
        program.wait_for_mark("connected", 90)
        servers = {process.pid for process in head.client_servers()} - before
        # It leaves by itself: of a killed client the head keeps the server for half a minute.
        program.close_stdin()
        return {**program.finish(30).ok().fields, "servers": len(servers)}


def _late_row(head: RayHead, mode: str) -> Row:
    samples = [_late(head, mode) for _ in range(3)]
    figure = Figure.median(samples)
    return Row(
        f"head comes up while we wait, {mode}: ray.init after a polling loop",
        figure,
        checks=(Check("<= 300 ms", figure.value <= 0.3),),
    )


def _late(head: RayHead, mode: str) -> float:
    """Seconds from the polling loop's first answer to our ``ray.init``; negative: we were first."""
    head.shut()
    address = address_of(head, mode)
    method, request = _PROBES[mode]
    with (
        Program(_LATE, address, env=head.env()) as waiting,
        Program(_POLL, address.removeprefix("ray://"), method, request) as polling,
    ):
        waiting.wait_for_mark("waiting")
        polling.wait_for_mark("waiting")
        head.start()
        answered = polling.finish(60).ok().fields["answered"]
        return float(waiting.finish(60).ok().fields["init_began"] - answered)
