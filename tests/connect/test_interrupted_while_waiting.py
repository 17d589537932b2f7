"""Ctrl-C and SIGTERM in each phase of a wait, and who owns SIGTERM after a connect."""

from __future__ import annotations

import signal
import time

import pytest

from seedcore_ray.testing import RayHead
from tests.support import SOON_S, GrpcPeer, SilentListener, TcpRelay, closed_port, wait_until
from tests.support.modes import MOSTLY_NATIVE
from tests.support.scenario import play, start

# Generous against a loaded machine; the promise is 100 ms.

_INTERRUPTED = """
import ray, signal
{before}
mark("waiting")
began = time.monotonic()
try:
    {call}
except KeyboardInterrupt:
    report(interrupted=True, at=time.monotonic(), state=held()["state"], errors=logged("ERROR"))
else:
    report(interrupted=False)
"""
# Once a look was refused, the call is on its way: only its waiting is left.
_MARK_REFUSED = """
import logging
class Refused(logging.Handler):
    def emit(self, record):
        if "refused" in record.getMessage():
            logger.removeHandler(self)
            mark("refused")
logger = logging.getLogger("seedcore_ray")
logger.addHandler(Refused())
"""


def _call(name: str) -> str:
    return {
        "ensure": "ensure_ray_initialized(connect_timeout_s=60)",
        "connect": "connect()",
        "wait": "wait_for_ray_ready(60)",
    }[name]


@pytest.mark.parametrize("call", ["ensure", "connect", "wait"])
def test_ctrl_c_while_a_port_refuses(call: str) -> None:
    address = f"127.0.0.1:{closed_port()}"
    source = _MARK_REFUSED + _INTERRUPTED.format(before="", call=_call(call))
    with start(source, env={"RAY_ADDRESS": address}) as program:
        program.wait_for_mark("refused")
        sent = program.signal(signal.SIGINT)
        told = program.finish(60).ok().fields
    assert told["interrupted"] and told["at"] - sent < SOON_S
    assert told["errors"] == []


def test_ctrl_c_during_a_probe() -> None:
    with SilentListener() as peer:
        env = {"RAY_ADDRESS": peer.address, "SEEDCORE_RAY_PROBE_TIMEOUT_S": "60"}
        with start(_INTERRUPTED.format(before="", call=_call("ensure")), env=env) as program:
            program.wait_for_mark("waiting")
            wait_until(lambda: peer.accepted, 60, "a probe")
            sent = program.signal(signal.SIGINT)
            told = program.finish(60).ok().fields
    assert told["interrupted"] and told["at"] - sent < SOON_S


def test_ctrl_c_during_ray_init_and_during_anothers_turn() -> None:
    with GrpcPeer.ray_client() as peer:
        env = {"RAY_ADDRESS": peer.client_address}
        with start(_INTERRUPTED.format(before="", call=_call("ensure")), env=env) as program:
            program.wait_for_mark("waiting")
            wait_until(peer.held.is_set, 60, "ray.init to hang")
            sent = program.signal(signal.SIGINT)
            told = program.finish(60).ok().fields
    assert told["interrupted"] and told["at"] - sent < SOON_S
    assert told["state"] == "connecting", "ray.init cannot be stopped"


def test_ctrl_c_in_a_look_at_a_head_that_fell_silent(ray_head: RayHead) -> None:
    with TcpRelay(("127.0.0.1", ray_head.client_port)) as relay:
        env = {
            "RAY_ADDRESS": relay.client_address,
            "SEEDCORE_RAY_PROBE_TIMEOUT_S": "60",
            # Its looks would be taken for ours, and its answers given for ours.
            "SEEDCORE_RAY_HEALTH_INTERVAL_S": "0",
        }
        before = "ensure_ray_initialized(); mark('connected'); sys.stdin.readline()"
        # Ray's own exit hooks would wait for the silent server.
        source = _INTERRUPTED.format(before=before, call="is_ray_available()") + "os._exit(0)"
        with start(source, env=env) as program:
            program.wait_for_mark("connected")
            relay.pause()
            accepted = relay.accepted
            program.tell("it is silent")
            program.wait_for_mark("waiting")
            wait_until(lambda: relay.accepted > accepted, 60, "a probe")
            sent = program.signal(signal.SIGINT)
            told = program.finish(60).ok().fields
    assert told["interrupted"] and told["at"] - sent < SOON_S


@pytest.mark.parametrize("handler", ["default", "own"])
def test_sigterm_during_a_wait(handler: str) -> None:
    own = """
import signal
def leave(number, frame):
    report(asked=number)
    raise SystemExit(7)
signal.signal(signal.SIGTERM, leave)
"""
    source = f"""{_MARK_REFUSED}{own if handler == "own" else ""}
ensure_ray_initialized(sys.argv[1], connect_timeout_s=60)
"""
    with start(source, f"127.0.0.1:{closed_port()}") as program:
        program.wait_for_mark("refused")
        sent = program.signal(signal.SIGTERM)
        ended = program.finish(60)
    assert time.monotonic() - sent < SOON_S
    if handler == "own":
        assert ended.rc == 7 and ended.fields["asked"] == signal.SIGTERM
    else:
        assert ended.rc == -signal.SIGTERM
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_who_owns_sigterm_after_a_connect(ray_head: RayHead, mode: str) -> None:
    address = ray_head.gcs_address if mode == "native" else ray_head.client_address
    told = play(
        """
        import signal, warnings
        def own(number, frame): ...
        def off_main():
            ensure_ray_initialized(sys.argv[1])
        thread = threading.Thread(target=off_main); thread.start(); thread.join()
        report(off_main=signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
        shutdown_ray()
        signal.signal(signal.SIGTERM, own)
        ensure_ray_initialized(sys.argv[1])
        report(kept=signal.getsignal(signal.SIGTERM) is own)
        shutdown_ray()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ensure_ray_initialized(sys.argv[1])
        report(ignored=signal.getsignal(signal.SIGTERM) is signal.SIG_IGN)
        shutdown_ray()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ensure_ray_initialized(sys.argv[1])
        report(graceful=callable(signal.getsignal(signal.SIGTERM)))
        """,
        address,
        deadline_s=90,
    )
    assert told["off_main"] and told["kept"] and told["ignored"] and told["graceful"]


def test_sigterm_after_a_connect_runs_exit_hooks(ray_head: RayHead) -> None:
    source = """
import atexit
atexit.register(lambda: mark("hooks ran"))
ensure_ray_initialized(sys.argv[1])
mark("connected")
threading.Event().wait(60)
"""
    with start(source, ray_head.gcs_address) as program:
        program.wait_for_mark("connected")
        program.signal(signal.SIGTERM)
        ended = program.finish(60)
    assert ended.rc == signal.SIGTERM and "hooks ran" in ended.stdout
    assert "SIGTERM handler is not set" not in ended.stderr


@pytest.mark.parametrize("then", ["", "shutdown_ray()", "shutdown_ray(); ensure_ray_initialized()"])
def test_a_handler_of_sigterm_outlives_what_ray_does_to_it(ray_head: RayHead, then: str) -> None:
    source = f"""
import signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
assert ensure_ray_initialized()
{then}
mark("done")
threading.Event().wait(60)
"""
    with start(source, env={"RAY_ADDRESS": ray_head.gcs_address}) as program:
        program.wait_for_mark("done")
        program.signal(signal.SIGTERM)
        ended = program.finish(60)
    assert ended.rc == 7 and "SIGTERM received" not in ended.stderr, ended.told()
