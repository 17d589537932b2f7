"""Children of a connected process leave with their exit code, soon, and the parent goes on.

Bare Ray hangs for more than 45 s, or faults. We promise a second; a busy machine gets more.
"""

from __future__ import annotations

import signal
import time
import urllib.request
from pathlib import Path

import pytest

from seedcore_ray.testing import RayHead
from tests.faults.stuck import MODES, stuck
from tests.support import SOON_S, SilentListener, closed_port, wait_until
from tests.support.modes import MOSTLY_NATIVE
from tests.support.scenario import play, run, start

_LEAVE = """
def leave(body):
    # Forks; the child runs body and leaves as an interpreter does. Code and seconds.
    sys.stdout.flush()
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        body()
        sys.exit(0)
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return [os.waitstatus_to_exitcode(status), time.monotonic() - began]
        if time.monotonic() - began > 40:
            os.kill(pid, 9)
        time.sleep(0.005)
def exits(code):
    return lambda: sys.exit(code)
def raises():
    raise RuntimeError("meant")
"""
_STILL_FINE = """
import ray
report(parent=[ensure_ray_initialized(), is_ray_available(),
               ray.get(ray.remote(lambda: 42).remote())])
"""


def _address(head: RayHead, mode: str) -> str:
    return head.gcs_address if mode == "native" else head.client_address


# As on a system whose C library has no `on_exit`.
_PORTABLY = """
from seedcore_ray import _core
_core.PLATFORM = "portable"
"""


@pytest.mark.parametrize(
    "mode", [*MODES, pytest.param("native, portably", marks=pytest.mark.matrix)]
)
def test_os_fork(ray_head: RayHead, mode: str) -> None:
    mode, _, portably = mode.partition(", ")
    ended = run(
        (_PORTABLY if portably else "")
        + _LEAVE
        + """
ensure_ray_initialized()
is_ray_available()  # our own thread runs too
def asks_first():
    assert ensure_ray_initialized() is False and not is_connected()
    shutdown_ray()
    sys.exit(7)
def in_a_thread():
    thread = threading.Thread(target=ensure_ray_initialized)
    thread.start()
    thread.join()
    sys.exit(8)
def has_a_child():
    code, _ = leave(exits(4))
    sys.exit(code)
report(zero=leave(exits(0)), three=leave(exits(3)), raised=leave(raises), asked=leave(asks_first),
       thread=leave(in_a_thread), grandchild=leave(has_a_child), end=leave(lambda: None))
"""
        + _STILL_FINE,
        env={"RAY_ADDRESS": _address(ray_head, mode)},
    ).ok()
    told = ended.fields
    wanted = {"zero": 0, "three": 3, "raised": 1, "asked": 7, "thread": 8, "grandchild": 4}
    for name, code in {**wanted, "end": 0}.items():
        assert told[name][0] == code, (name, ended.told())
        assert told[name][1] < SOON_S, (name, ended.told())
    assert told["parent"] == [True, True, 42]
    # The one traceback is the exception that was meant.
    assert ended.stderr.count("Traceback") == ended.stderr.count("RuntimeError: meant") == 1
    _unharmed(ended.stderr)


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_multiprocessing_fork(ray_head: RayHead, mode: str) -> None:
    ended = run(
        """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
fork = multiprocessing.get_context("fork")
def leave(target, *args):
    process = fork.Process(target=target, args=args)
    began = time.monotonic()
    process.start()
    process.join(40)
    seconds = time.monotonic() - began
    process.kill()
    return [process.exitcode, seconds]
def fail():
    raise RuntimeError("meant")
ensure_ray_initialized()
report(zero=leave(sys.exit, 0), three=leave(sys.exit, 3), raised=leave(fail),
       asked=leave(ensure_ray_initialized))
began = time.monotonic()
with ProcessPoolExecutor(2, mp_context=fork) as pool:
    report(pool=list(pool.map(abs, [-1, 2, -3])))
report(pool_seconds=time.monotonic() - began)
"""
        + _STILL_FINE,
        env={"RAY_ADDRESS": _address(ray_head, mode)},
    ).ok()
    told = ended.fields
    for name, code in {"zero": 0, "three": 3, "raised": 1, "asked": 0}.items():
        assert told[name][0] == code and told[name][1] < SOON_S, (name, ended.told())
    assert told["pool"] == [1, 2, 3] and told["pool_seconds"] < SOON_S
    assert told["parent"] == [True, True, 42]
    _unharmed(ended.stderr)


# A worker that gets a signal before it has handlers of its own loses it in those of its master.
_CONFIG = """
import __main__
def post_worker_init(worker):
    __main__.mark(f"worker {worker.age}")
"""
# The application connects while it is preloaded: its workers are children of a connected process.
_APPLICATION = """
import os, sys
from kit import *
ok = ensure_ray_initialized()
def application(environ, start_response):
    body = repr((ok, ensure_ray_initialized(), seedcore_ray.last_error().kind)).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.mark.parametrize("mode", MODES)
def test_gunicorn_workers_under_preload(ray_head: RayHead, mode: str, tmp_path: Path) -> None:
    pytest.importorskip("gunicorn")
    (tmp_path / "application.py").write_text(_APPLICATION)
    config = tmp_path / "config.py"
    config.write_text(_CONFIG)
    port = closed_port()
    source = """
from gunicorn.app.wsgiapp import run
sys.argv[1:] = sys.argv[1:] + ["--preload", "--workers", "2", "--graceful-timeout", "20",
                               "--no-control-socket", "application"]
run()
"""
    arguments = ["--config", str(config), "--chdir", str(tmp_path), "--bind", f"127.0.0.1:{port}"]
    with start(source, *arguments, env={"RAY_ADDRESS": _address(ray_head, mode)}) as program:
        for worker in ("worker 1", "worker 2"):
            program.wait_for_mark(worker)
        assert _answer(port) == "(True, False, 'forked')"
        # A worker that the master stops because one less is wanted, then all of them.
        stopped = time.monotonic()
        program.signal(signal.SIGTTOU)
        program.signal(signal.SIGTERM)
        ended = program.finish(60)
        seconds = time.monotonic() - stopped
    assert ended.rc == 0, ended.told()
    assert seconds < SOON_S, ended.told()
    # What gunicorn says of a worker that it had to kill, or that a signal ended.
    for bad in ("SIGKILL", "SIGSEGV", "SIGABRT", "timeout", "Traceback", "core dumped"):
        assert bad.lower() not in ended.stderr.lower(), ended.told()
    _unharmed(ended.stderr)


def _answer(port: int) -> str:
    def ask() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as reply:
                return str(reply.read().decode())
        except OSError:
            return ""

    return wait_until(ask, 60, "a worker to answer")


def test_a_child_forked_in_the_middle_of_a_probe() -> None:
    with SilentListener() as silent:
        told = play(
            _LEAVE
            + """
waiting = threading.Thread(
    target=lambda: report(waited=ensure_ray_initialized(sys.argv[1], connect_timeout_s=3)))
waiting.start()
while held()["state"] != "connecting":
    time.sleep(0.001)
children = []
def asks():
    assert ensure_ray_initialized("127.0.0.1:1", connect_timeout_s=0) is False
    sys.exit(3)
for number in range(10):
    children.append(leave(exits(number % 2 * 3)) + [number % 2 * 3])
    children.append(leave(asks) + [3])
waiting.join(60)
report(children=children, parent=error()["kind"])
""",
            silent.address,
        )
    for code, seconds, wanted in told["children"]:
        assert code == wanted and seconds < SOON_S
    assert told["waited"] is False and told["parent"] == "timeout"


@pytest.mark.parametrize("mode", MODES)
def test_a_child_forked_in_the_middle_of_ray_init(mode: str) -> None:
    with stuck(mode) as (_, address):
        ended = run(
            _LEAVE
            + """
import ray
assert ensure_ray_initialized(sys.argv[1]) is False and error()["kind"] == "init_timeout"
report(children=[leave(exits(0)), leave(exits(3)), leave(raises)], state=held()["state"])
os._exit(0)
""",
            address,
            env={"SEEDCORE_RAY_INIT_TIMEOUT_S": "1.5"},
        ).ok()
    told = ended.fields
    assert told["state"] == "connecting"
    for (code, seconds), wanted in zip(told["children"], (0, 3, 1), strict=True):
        assert code == wanted and seconds < SOON_S, ended.told()


def test_a_child_forked_in_the_middle_of_ray_shutdown(ray_head: RayHead) -> None:
    """Ray says there that it is not connected, and still has its native worker."""
    ended = run(
        _LEAVE
        + """
assert ensure_ray_initialized()
from ray._private import worker
disconnect, children = worker.disconnect, []
def disconnects(*args, **kwargs):
    disconnect(*args, **kwargs)
    worker.disconnect = disconnect
    children.extend(leave(body) for body in (exits(0), exits(3)))
worker.disconnect = disconnects
shutdown_ray()
report(children=children, back=ensure_ray_initialized())
""",
        env={"RAY_ADDRESS": ray_head.gcs_address},
    ).ok()
    for (code, seconds), wanted in zip(ended.fields["children"], (0, 3), strict=True):
        assert code == wanted and seconds < SOON_S, ended.told()
    assert ended.fields["back"] is True
    _unharmed(ended.stderr)


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_a_child_forked_after_the_parent_disconnected(ray_head: RayHead, mode: str) -> None:
    ended = run(
        _LEAVE
        + """
ensure_ray_initialized()
shutdown_ray()
report(zero=leave(exits(0)), three=leave(exits(3)), raised=leave(raises))
"""
        + _STILL_FINE,
        env={"RAY_ADDRESS": _address(ray_head, mode)},
    ).ok()
    told = ended.fields
    for name, code in {"zero": 0, "three": 3, "raised": 1}.items():
        assert told[name][0] == code and told[name][1] < SOON_S, (name, ended.told())
    assert told["parent"] == [True, True, 42]
    _unharmed(ended.stderr)


def _unharmed(stderr: str) -> None:
    for bad in ("Fatal Python error", "panicked", "Segmentation", "SIGSEGV"):
        assert bad not in stderr, stderr
