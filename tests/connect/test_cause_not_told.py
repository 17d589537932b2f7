"""Every cause of a failed connect, from Python: kind, address, hint, message, bounded in time."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import grpc
import pytest

from seedcore_ray.testing import RayHead
from tests.support import (
    SOON_S,
    AcceptAndClose,
    Authority,
    GrpcPeer,
    SilentListener,
    closed_port,
    run_program,
)
from tests.support.peers import Babbler
from tests.support.scenario import RAY_VERSION, play, run
from tests.support.secrets import TOKEN

# Asks for one address after the other, through both functions that can be asked.
_ASK_EACH = """
import json, pickle, ray
inits = []
ray.init = lambda *args, **kwargs: inits.append(args)
told = {}
for address in json.loads(sys.argv[1]):
    records.clear()
    ok, seconds = timed(ensure_ray_initialized, address, connect_timeout_s=0)
    first = error()
    said = {level: logged(level) for level in ("INFO", "WARNING", "ERROR")}
    os.environ["RAY_ADDRESS"] = address
    os.environ["SEEDCORE_RAY_CONNECT_TIMEOUT_S"] = "0"
    raised = caught()
    copy = pickle.loads(pickle.dumps(seedcore_ray.last_error()))
    told[address] = {"ok": ok, "seconds": seconds, "error": first, "raised": raised, "said": said,
                     "copy": {"message": copy.args[0], **vars(copy)}, "state": held()["state"],
                     "type": type(copy).__name__, "is": isinstance(copy, ConnectionError)}
    del os.environ["RAY_ADDRESS"]
report(told=told, inits=len(inits))
"""


def _check(told: dict[str, Any], address: str, kind: str) -> str:
    """What every failure owes its caller. Returns the message."""
    error = told["error"]
    assert told["ok"] is False and told["state"] == "failed"
    assert error["kind"] == kind, error
    assert error["hint"].endswith((".", "?")), error["hint"]
    assert told["raised"]["kind"] == kind
    attributes = ("kind", "address", "hint", "message", "attempts", "retry_after_s")
    assert {name: told["copy"][name] for name in attributes} == {
        name: told["raised"][name] for name in attributes
    }
    assert (told["type"], told["is"]) == ("RayConnectionError", True)
    assert told["said"]["INFO"] == [] and told["said"]["WARNING"] == []
    assert told["said"]["ERROR"] == [error["text"]], "one line, with cause and hint"
    shown = error["address"]
    assert shown and shown in error["message"]
    if kind != "invalid_address":
        assert shown == address
    return str(error["message"])


def test_each_cause_of_a_scripted_peer(authority: Authority) -> None:
    with contextlib.ExitStack() as stack:
        silent: Any = stack.enter_context(SilentListener())
        hangs_up: Any = stack.enter_context(AcceptAndClose())
        # One that hangs up on what it does not know may take its own answer along (a TCP reset),
        # and is then told as such; this one stays.
        web: Any = stack.enter_context(Babbler(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
        tls: Any = stack.enter_context(GrpcPeer(tls=authority.issue("peer")))
        refuses: Any = stack.enter_context(GrpcPeer.refusing(grpc.StatusCode.UNAUTHENTICATED))
        closed = f"127.0.0.1:{closed_port()}"
        # address, kind, words of the message
        cases = (
            ("no such thing", "invalid_address", ""),
            ("http://127.0.0.1:8265", "invalid_address", ""),
            ("127.0.0.1", "invalid_address", ""),
            ("ray://:10001", "invalid_address", ""),
            ("127.0.0.1:99999", "invalid_address", ""),
            ("no-such-host.invalid:6379", "dns", "no-such-host.invalid"),
            ("ray://no-such-host.invalid:10001", "dns", "no-such-host.invalid"),
            (closed, "refused", "refused"),
            (f"ray://{closed}", "refused", "refused"),
            (silent.address, "timeout", "grpc"),
            (silent.client_address, "timeout", "grpc"),
            (hangs_up.address, "not_ready", "closed"),
            (web.address, "not_ray", "web server"),
            (web.client_address, "not_ray", "web server"),
            (tls.address, "tls", "TLS"),
            (tls.client_address, "tls", "TLS"),
            (refuses.address, "auth", "token"),
            (refuses.client_address, "auth", "token"),
        )
        told = play(
            _ASK_EACH,
            json.dumps([address for address, _, _ in cases]),
            SEEDCORE_RAY_PROBE_TIMEOUT_S="1",
        )
    assert told["inits"] == 0
    for address, kind, words in cases:
        each = told["told"][address]
        message = _check(each, address, kind)
        assert words.lower() in message.lower()
        assert each["seconds"] < (2 if kind in ("timeout", "dns") else 1)


def test_wrong_port_says_the_right_form(ray_head: RayHead) -> None:
    gcs_as_client = f"ray://{ray_head.gcs_address}"
    client_as_gcs = ray_head.client_address.removeprefix("ray://")
    told = play(_ASK_EACH, json.dumps([gcs_as_client, client_as_gcs]))
    assert told["inits"] == 0
    for address, right in ((gcs_as_client, ray_head.gcs_address), (client_as_gcs, "ray://")):
        each = told["told"][address]
        _check(each, address, "wrong_port")
        assert right in each["error"]["text"]


def test_a_token_head_without_a_token(token_head: RayHead) -> None:
    addresses = [token_head.gcs_address, token_head.client_address]
    told = play(_ASK_EACH, json.dumps(addresses))
    for address in addresses:
        message = _check(told["told"][address], address, "auth")
        assert "token" in message and "RAY_AUTH" in told["told"][address]["error"]["hint"]


@pytest.mark.parametrize("mode", ["native", "client"])
def test_a_token_head_with_its_token(token_head: RayHead, mode: str) -> None:
    address = token_head.gcs_address if mode == "native" else token_head.client_address
    ended = run(_LOGGED_IN, address, env=token_head.env()).ok()
    assert ended.fields == {"ok": True, "task": 42, "available": True, "nodes": 1}
    assert TOKEN not in ended.stdout + ended.stderr


@pytest.mark.parametrize("mode", ["native", "client"])
def test_a_tls_head_with_and_without_certificates(tls_head: RayHead, mode: str) -> None:
    address = tls_head.gcs_address if mode == "native" else tls_head.client_address
    told = play(_ASK_EACH, json.dumps([address]))
    message = _check(told["told"][address], address, "tls")
    assert "TLS" in message and "RAY_USE_TLS" in told["told"][address]["error"]["hint"]
    ended = run(_LOGGED_IN, address, env=tls_head.env()).ok()
    assert ended.fields == {"ok": True, "task": 42, "available": True, "nodes": 1}


_LOGGED_IN = """
import logging
logging.basicConfig(level=logging.DEBUG)
logging.getLogger("seedcore_ray").propagate = True
ok = ensure_ray_initialized(sys.argv[1])
import ray
report(ok=ok, task=ray.get(ray.remote(lambda: 42).remote()), available=is_ray_available(),
       nodes=get_ray_cluster_info().get("nodes"))
"""


@pytest.mark.parametrize("mode", ["native", "client"])
def test_another_version_is_refused_with_both_versions_named(ray_head: RayHead, mode: str) -> None:
    address = ray_head.gcs_address if mode == "native" else ray_head.client_address
    told = play(
        """
        import ray
        version, ray.__version__ = ray.__version__, "2.1.0"
        ok, seconds = timed(ensure_ray_initialized, sys.argv[1])
        report(ok=ok, seconds=seconds, error=error(), errors=logged("ERROR"),
               initialized=ray.is_initialized())
        ray.__version__ = version
        report(then=ensure_ray_initialized(sys.argv[1]), no_error=error())
        """,
        address,
    )
    error = told["error"]
    assert told["ok"] is False and error["kind"] == "version_mismatch"
    assert error["address"] == address and address in error["message"] and error["hint"]
    assert "2.1.0" in error["message"] and RAY_VERSION in error["message"]
    assert len(told["errors"]) == 1 and not told["initialized"]
    assert told["then"] and told["no_error"] is None


@pytest.mark.parametrize("kind", ["no_local_ray", "stale_local_ray"])
def test_auto_without_a_local_ray_answers_at_once(kind: str, tmp_path: Path) -> None:
    dead = ""
    (tmp_path / "ray").mkdir()
    if kind == "stale_local_ray":
        dead = f"127.0.0.1:{closed_port()}"
        (tmp_path / "ray" / "ray_current_cluster").write_text(dead)
    ended = run_program(
        """
        import sys, time, ray, seedcore_ray
        from seedcore.utils.ray_connector import wait_for_ray_ready
        from seedcore.utils.ray_utils import ensure_ray_initialized
        began = time.monotonic()
        ok = ensure_ray_initialized()
        seconds = time.monotonic() - began
        last = seedcore_ray.last_error()
        report(ok=ok, seconds=seconds, kind=last.kind, address=last.address, text=str(last))
        began = time.monotonic()
        report(waited=wait_for_ray_ready(1.2), waited_seconds=time.monotonic() - began)
        """,
        private_pids=True,
        env={"RAY_TMPDIR": str(tmp_path)},
    ).ok()
    told = ended.fields
    assert told["ok"] is False and told["seconds"] < SOON_S
    assert told["kind"] == kind and told["address"] == (dead or "auto")
    assert "ray start" in told["text"]
    # Whoever waits for Ray to be ready waits for a local one to be started, too.
    assert told["waited"] is False and 1.1 < told["waited_seconds"] < SOON_S


_BLOCKS = {
    "none_in_sys_modules": "sys.modules['ray'] = None",
    "finder_raises": """
class Block:
    def find_spec(self, name, path=None, target=None):
        if name == "ray" or name.startswith("ray."):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
""",
    "finder_finds_nothing": """
import importlib.machinery
original = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = classmethod(
    lambda cls, name, *args: None if name == "ray" else original(name, *args))
""",
    "empty_folder": """
import importlib.machinery
original = importlib.machinery.PathFinder.find_spec
os.mkdir("ray")
importlib.machinery.PathFinder.find_spec = classmethod(
    lambda cls, name, *args: original(name, [os.getcwd()]) if name == "ray"
    else original(name, *args))
""",
}


@pytest.mark.parametrize("block", list(_BLOCKS))
def test_without_ray_one_warning_and_false(block: str) -> None:
    told = play(
        _BLOCKS[block]
        + """
report(answers=[ensure_ray_initialized(), ensure_ray_initialized(), wait_for_ray_ready(0.1)],
       raised=caught(), state=held()["state"], warnings=logged("WARNING"), errors=logged("ERROR"),
       status=[is_connected(), is_ray_available(), get_ray_cluster_info(), get_connection_info(),
               test_ray_connection()],
       ip=get_ray_node_ip())
shutdown_ray()
""",
        RAY_ADDRESS="ray://head:10001",
    )
    assert told["answers"] == [False] * 3 and told["state"] == "failed"
    assert told["raised"]["kind"] == "ray_missing" and "pip install" in told["raised"]["hint"]
    assert told["raised"]["address"] == "ray://head:10001"
    assert len(told["warnings"]) == 1 and told["errors"] == []
    off = [False, False, {"status": "not_available"}, {"status": "not_connected"}, False]
    assert told["status"] == off
    assert told["ip"]
