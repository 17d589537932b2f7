"""Threads that ask at the same time share one attempt, each with its own patience."""

from __future__ import annotations

import signal

import pytest

from seedcore_ray.testing import RayHead
from tests.support import SOON_S, closed_port
from tests.support.scenario import play, start

_COUNT = """
import ray
inits = count_inits()
"""


@pytest.mark.parametrize("mode", ["native", "client"])
def test_64_cold_threads_make_one_init_and_one_server(ray_head: RayHead, mode: str) -> None:
    before = _client_servers(ray_head)
    source = (
        _COUNT
        + """
start = threading.Barrier(64)
answers = []
def ask():
    start.wait()
    answers.append(ensure_ray_initialized(sys.argv[1]))
threads = [threading.Thread(target=ask) for _ in range(64)]
for thread in threads: thread.start()
for thread in threads: thread.join(60)
report(answers=answers, inits=len(inits), task=ray.get(ray.remote(lambda: 42).remote()),
       said=len(logged("INFO", "connected to")), generation=seedcore_ray.generation())
try:
    mark("connected")
    threading.Event().wait(60)
except KeyboardInterrupt:
    pass
"""
    )
    address = ray_head.gcs_address if mode == "native" else ray_head.client_address
    with start(source, address) as program:
        program.wait_for_mark("connected")
        servers = _client_servers(ray_head) - before
        program.signal(signal.SIGINT)
        told = program.finish(60).ok().fields
    assert len(servers) == (1 if mode == "client" else 0)
    assert told["answers"] == [True] * 64
    assert (told["inits"], told["generation"], told["said"]) == (1, 1, 1)
    assert told["task"] == 42


def test_each_thread_waits_no_longer_than_it_asked_for() -> None:
    told = play(
        """
        took = {}
        def ask(seconds):
            ok, took[seconds] = timed(
                ensure_ray_initialized, sys.argv[1], connect_timeout_s=seconds)
            assert ok is False
        import ray
        # The most patient one leads; the others join what it has begun.
        threads = [threading.Thread(target=ask, args=(seconds,)) for seconds in (4, 0, 0.5, 1.5)]
        threads[0].start()
        while seedcore_ray.connection().state != "connecting": time.sleep(0.01)
        for thread in threads[1:]: thread.start()
        for thread in threads: thread.join(60)
        report(took=took, warnings=logged("WARNING"), errors=logged("ERROR"), error=error())
        """,
        f"127.0.0.1:{closed_port()}",
    )
    # Nobody waits as long as the leader who does not want to.
    leader = told["took"].pop("4")
    assert 4 - 0.1 <= leader < 4 + SOON_S
    for seconds, took in told["took"].items():
        assert float(seconds) - 0.1 <= took < leader - 0.5, told["took"]
    assert len(told["warnings"]) == 1 and "connect_timeout_s" in told["warnings"][0]
    left_early, gave_up = told["errors"]
    assert "goes on for another caller" in left_early and "Gave up after" in gave_up
    assert told["error"]["kind"] == "refused" and told["error"]["attempts"] > 1


def test_a_head_that_comes_up_while_we_wait_is_connected(own_head: RayHead) -> None:
    own_head.shut()
    source = (
        _COUNT
        + """
mark("waiting")
ok = ensure_ray_initialized(sys.argv[1], connect_timeout_s=60)
report(ok=ok, inits=len(inits), task=ray.get(ray.remote(lambda: 42).remote()),
       warnings=logged("WARNING"), errors=logged("ERROR"), info=logged("INFO"))
"""
    )
    addresses = own_head.gcs_address, own_head.client_address
    with start(source, addresses[0]) as native, start(source, addresses[1]) as client:
        native.wait_for_mark("waiting")
        client.wait_for_mark("waiting")
        own_head.start()
        told = [program.finish(60).ok().fields for program in (native, client)]
    for address, each in zip(addresses, told, strict=True):
        assert each["ok"] and each["inits"] == 1 and each["task"] == 42, each
        assert len(each["warnings"]) == 1 and address in each["warnings"][0]
        assert each["errors"] == [] and len(each["info"]) == 1


def test_a_caller_inside_our_own_connect_is_answered_at_once(ray_head: RayHead) -> None:
    told = play(
        """
        import logging, ray
        answers = []
        class Curious(logging.Handler):
            def emit(self, record):
                ok, seconds = timed(ensure_ray_initialized)
                answers.append(["log", ok, seconds])
        handler = Curious()
        logging.getLogger("seedcore_ray").addHandler(handler)
        logging.getLogger("ray").addHandler(handler)
        original = ray.init
        def hooked(*args, **kwargs):
            ok, seconds = timed(ensure_ray_initialized)
            answers.append(["hook", ok, seconds])
            answers.append(["connect", (caught() or {}).get("kind"), 0])
            shutdown_ray()
            return original(*args, **kwargs)
        ray.init = hooked
        refused, refused_seconds = timed(ensure_ray_initialized, "no such://address")
        dead = ensure_ray_initialized("127.0.0.1:1", connect_timeout_s=0.5)
        before = len(answers)
        ok = ensure_ray_initialized()
        report(refused=refused, refused_seconds=refused_seconds, dead=dead, ok=ok,
               before=answers[:before], during=answers[before:], said=len(logged("INFO")))
        """,
        RAY_ADDRESS=ray_head.gcs_address,
    )
    assert told["refused"] is False and told["refused_seconds"] < SOON_S
    assert told["dead"] is False and told["ok"] is True
    assert told["before"] and all(answer is False for _, answer, _ in told["before"])
    assert ["hook", False] in [each[:2] for each in told["during"]]
    assert ["connect", "reentrant", 0] in told["during"]
    assert all(seconds < SOON_S for _, _, seconds in told["before"] + told["during"])
    assert told["said"] == 1


@pytest.mark.timeout(180)
def test_connect_shutdown_and_status_calls_at_once_stay_consistent(ray_head: RayHead) -> None:
    told = play(
        """
        import ray
        stop = time.monotonic() + 60
        wrong = []
        def storm(call):
            while seedcore_ray.generation() < 4 and time.monotonic() < stop:
                try:
                    call()
                    time.sleep(0.001)  # Ray's own Python has to get a turn among six that spin
                except BaseException as error:
                    wrong.append(repr(error))
                    return
        def closing():
            if held()["state"] == "connected":
                shutdown_ray()
        calls = [ensure_ray_initialized, ensure_ray_initialized, is_ray_available,
                 held, get_connection_info, closing]
        threads = [threading.Thread(target=storm, args=(call,)) for call in calls]
        for thread in threads: thread.start()
        for thread in threads: thread.join(80)
        stuck = [thread.name for thread in threads if thread.is_alive()]
        ok = ensure_ray_initialized()
        report(wrong=wrong, stuck=stuck, ok=ok, adopted=logged("INFO", "someone else"),
               task=ray.get(ray.remote(lambda: 42).remote()), errors=logged("ERROR"),
               connects=seedcore_ray.generation())
        """,
        RAY_ADDRESS=ray_head.gcs_address,
        deadline_s=150,
    )
    assert told["wrong"] == [] and told["stuck"] == []
    assert told["ok"] and told["task"] == 42
    assert told["adopted"] == [], "our own connection on its way out was taken for another's"
    assert told["errors"] == [] and told["connects"] > 2


def _client_servers(head: RayHead) -> set[int]:
    return {p.pid for p in head.processes() if "--mode=specific-server" in p.command}
