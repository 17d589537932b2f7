"""Processes whose ``sys.stdout`` and ``sys.stderr`` are stand-ins without a descriptor, or None."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support.modes import MOSTLY_NATIVE
from tests.support.scenario import play

_STREAMS = """
import io, logging

class Proxy:
    "Celery's and Airflow's kind: what is written is logged."
    def write(self, text):
        logging.getLogger("worker").info(text.rstrip())
    def flush(self):
        pass

class OnlyWrite:
    def write(self, text):
        logging.getLogger("worker").info(text.rstrip())

class Refuses(Proxy):
    def fileno(self):
        raise ValueError("no descriptor")

class NoDescriptor(Proxy):
    def fileno(self):
        return -1

heard = []
class Hear(logging.Handler):
    def emit(self, record):
        heard.append((record.name, record.getMessage()))
logging.getLogger().addHandler(Hear())
logging.getLogger().setLevel(logging.INFO)
logging.getLogger("seedcore_ray").propagate = True
real = sys.stdout, sys.stderr

def with_streams(stream, body):
    sys.stdout = sys.stderr = stream
    try:
        return body()
    finally:
        left_alone = sys.stdout is stream and sys.stderr is stream
        sys.stdout, sys.stderr = real
        assert left_alone

def until(fact):
    give_up = time.monotonic() + 30
    while not fact() and time.monotonic() < give_up:
        time.sleep(0.02)

def hello():
    print("hello from a task")
    return 42

def said(text):
    return sum(text in message for _, message in heard)

import faulthandler, ray
"""


def test_a_native_connect_needs_no_descriptor(ray_head: RayHead) -> None:
    """Ray's own init does: ``faulthandler`` asks ``sys.stderr`` for it."""
    told = play(
        f"""
{_STREAMS}
def ours():
    ok = ensure_ray_initialized()
    shutdown_ray()
    return ok, (error() or {{}}).get("text")

def bare():
    try:
        ray.init(os.environ["RAY_ADDRESS"])
        return True
    except Exception as raised:
        return repr(raised)
    finally:
        ray.shutdown()

streams = {{"proxy": Proxy(), "only write": OnlyWrite(), "none": None, "refuses": Refuses(),
           "no descriptor": NoDescriptor(), "string": io.StringIO()}}
told = {{name: with_streams(stream, ours) for name, stream in streams.items()}}
enabled = faulthandler.is_enabled()
bare = {{name: with_streams(stream, bare) for name, stream in streams.items()}}
kept = ray._private.worker.faulthandler is faulthandler
# With streams that are files, Ray still gets it.
ensure_ray_initialized()
report(told=told, bare=bare, enabled=[enabled, faulthandler.is_enabled()], kept=kept)
""",
        RAY_ADDRESS=ray_head.gcs_address,
    )
    assert told["told"] == {name: [True, None] for name in told["told"]}
    assert told["bare"]["string"] is True
    assert told["enabled"] == [False, True]
    assert told["kept"] is True


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)  # a client never asked for a descriptor
def test_what_is_printed_is_logged_once(ray_head: RayHead, mode: str) -> None:
    """Ray prints what tasks print to a stream that logs: no line comes back as another."""
    told = play(
        f"""
{_STREAMS}
def body():
    ok = ensure_ray_initialized()
    result = ray.get(ray.remote(hello).remote())
    until(lambda: said("hello from a task"))
    shutdown_ray()
    return ok, result

ok, result = with_streams(Proxy(), body)
report(ok=ok, result=result, connected=said("connected to Ray at"), lines=len(heard),
       printed=said("hello from a task"),
       logged_by=[name for name, message in heard if "hello from a task" in message])
""",
        RAY_ADDRESS=ray_head.gcs_address if mode == "native" else ray_head.client_address,
    )
    assert (told["ok"], told["result"]) == (True, 42)
    assert told["connected"] == 1
    assert told["printed"] == 1 and told["logged_by"] == ["worker"]
    assert told["lines"] < 20
