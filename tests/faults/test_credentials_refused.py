"""Clusters locked down with tokens and TLS: the right keys open, wrong ones are told apart."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from seedcore_ray.testing import CertFiles, RayHead
from tests.faults.stuck import MODES
from tests.support import SOON_S, Authority, GrpcPeer, SilentListener, WebServer
from tests.support.peers import EVERYWHERE, HOST, PING_METHOD, Reply
from tests.support.scenario import run, start
from tests.support.secrets import TOKEN, secret

WRONG_TOKEN = secret("a-wrong-token-of-the-test-suite-9876543210", "the wrong token")
OTHER_TOKEN = secret("another-token-of-the-test-suite-5555555555", "the new token")

_DEBUG = """
import logging
logging.basicConfig(level=logging.DEBUG)
logging.getLogger("seedcore_ray").propagate = True
"""
# Each case in turn: its variables, its files, its address. What a caller is told of it.
_ASK_EACH = (
    _DEBUG
    + """
import json, ray, pickle, traceback
inits = []
ray.init = lambda *args, **kwargs: inits.append(args)
told = {}
for name, case in json.loads(sys.argv[1]).items():
    for path, text in case.get("files", {}).items():
        os.makedirs(os.path.dirname(os.path.expanduser(path)), exist_ok=True)
        open(os.path.expanduser(path), "w").write(text)
    os.environ.update(case["env"])
    records.clear()
    ok, seconds = timed(ensure_ray_initialized, case["address"], connect_timeout_s=0)
    last = seedcore_ray.last_error()
    # Wherever a secret might be shown.
    print(last, repr(last), vars(last), seedcore_ray.connection(), held(), get_connection_info())
    print(pickle.dumps(last), "".join(traceback.format_exception(last)) if last else "")
    told[name] = {"ok": ok, "seconds": seconds, "error": error(), "inits": len(inits),
                  "lines": len(logged("ERROR"))}
    for variable in case["env"]:
        del os.environ[variable]
    for path in case.get("files", {}):
        os.remove(os.path.expanduser(path))
report(told=told)
"""
)
_WORKS = (
    _DEBUG
    + """
ok = ensure_ray_initialized(sys.argv[1])
import ray
report(ok=ok, mode=held()["mode"], available=is_ray_available(), nodes=get_ray_cluster_info(),
       task=ray.get(ray.remote(lambda: 42).remote()) if ok else None)
print(seedcore_ray.connection(), held(), get_connection_info(), error())
"""
)
_POOL = (
    _DEBUG
    + """
from seedcore_ray import ConnectionPool, RayConnectionError
import ray
with ConnectionPool(sys.argv[1], timeout=100, name="p") as pool:
    try:
        report(task=pool.run(lambda: ray.get(ray.remote(lambda: 42).remote())))
    except RayConnectionError as error:
        report(kind=error.kind, words=str(error))
    print(repr(pool), pool.get_stats(), seedcore_ray.metrics_text())
"""
)


def _address(head: RayHead, mode: str) -> str:
    return head.gcs_address if mode == "native" else head.client_address


def _ask(
    cases: Mapping[str, Mapping[str, Any]], env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    told: dict[str, Any] = run(_ASK_EACH, json.dumps(cases), env=env).ok().fields["told"]
    for name, each in told.items():
        assert each["ok"] is False and each["lines"] == 1, (name, each)
        assert each["inits"] == 0, (name, "Ray was touched")
    return told


def _said(each: Mapping[str, Any], kind: str, message: str, hint: str) -> None:
    error = each["error"]
    assert error["kind"] == kind, error
    assert message in error["message"], error
    assert hint.lower() in error["hint"].lower(), error
    assert each["seconds"] < SOON_S, each


# -- tokens


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("where", ["variable", "named file", "default file"])
def test_the_token_is_found_where_ray_looks(
    token_head: RayHead, mode: str, where: str, tmp_path: Path
) -> None:
    env = {"RAY_AUTH_MODE": "token"}
    if where == "variable":
        env["RAY_AUTH_TOKEN"] = TOKEN
    elif where == "named file":
        path = tmp_path / "token"
        path.write_text(TOKEN + "\n")
        env["RAY_AUTH_TOKEN_PATH"] = str(path)
    else:
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").write_text(TOKEN + "\n")
        env["HOME"] = str(tmp_path)
    told = run(_WORKS, _address(token_head, mode), env=env).ok().fields
    assert (told["ok"], told["task"], told["available"]) == (True, 42, True)
    assert told["nodes"]["nodes"] == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_token_head_tells_each_fault_apart(token_head: RayHead, mode: str) -> None:
    address = _address(token_head, mode)
    on = {"RAY_AUTH_MODE": "token"}
    file = {"~/.ray/auth_token": TOKEN}
    told = _ask(
        {
            "nothing set": {"address": address, "env": {}},
            "mode unset, file there": {"address": address, "env": {}, "files": file},
            "mode unset, variable there": {"address": address, "env": {"RAY_AUTH_TOKEN": TOKEN}},
            "mode on, nothing found": {"address": address, "env": on},
            "mode on, no such file": {
                "address": address,
                "env": {**on, "RAY_AUTH_TOKEN_PATH": "/no/such/token"},
                "files": file,
            },
            "mode on, empty file": {
                "address": address,
                "env": {**on, "RAY_AUTH_TOKEN_PATH": "/tmp/../dev/null"},
            },
            "wrong token": {"address": address, "env": {**on, "RAY_AUTH_TOKEN": WRONG_TOKEN}},
            "wrong token in a file": {
                "address": address,
                "env": on,
                "files": {"~/.ray/auth_token": WRONG_TOKEN},
            },
            "no header can carry it": {
                "address": address,
                "env": {**on, "RAY_AUTH_TOKEN": WRONG_TOKEN + "\n\u00e4"},
            },
            "mode off": {
                "address": address,
                "env": {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": TOKEN},
            },
        }
    )
    _said(told["nothing set"], "auth", "no token was found, looked in", "RAY_AUTH_MODE=token")
    assert ".ray/auth_token" in told["nothing set"]["error"]["message"]
    for name, place in (("file", ".ray/auth_token"), ("variable", "RAY_AUTH_TOKEN")):
        each = told[f"mode unset, {name} there"]
        _said(each, "auth", "RAY_AUTH_MODE is not set", "set RAY_AUTH_MODE=token")
        assert place in each["error"]["message"]
    _said(told["mode on, nothing found"], "auth", "no token was found, looked in", "RAY_AUTH_TOKEN")
    _said(told["mode on, no such file"], "auth", "/no/such/token", "RAY_AUTH_TOKEN_PATH")
    _said(told["mode on, empty file"], "auth", "missing or empty", "RAY_AUTH_TOKEN_PATH")
    _said(
        told["wrong token"], "auth", "refused the token from RAY_AUTH_TOKEN", "ray get-auth-token"
    )
    _said(told["wrong token in a file"], "auth", "refused the token from the file", "may be old")
    _said(told["no header can carry it"], "auth", "no header can carry", "line breaks")
    _said(told["mode off"], "auth", "switches tokens off", "RAY_AUTH_MODE=token")


def test_a_server_that_echoes_the_token_does_not_get_it_into_the_message() -> None:
    on = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": WRONG_TOKEN}
    with (
        GrpcPeer.refusing(grpc.StatusCode.UNAUTHENTICATED, f"bad: {WRONG_TOKEN}") as refusing,
        GrpcPeer.refusing(grpc.StatusCode.INTERNAL, f"cannot: Bearer {WRONG_TOKEN}") as broken,
        GrpcPeer.refusing(grpc.StatusCode.UNAVAILABLE, f"not now: {WRONG_TOKEN}") as busy,
    ):
        ended = run(
            _ASK_EACH,
            json.dumps(
                {
                    f"{name} {form}": {
                        "address": peer.address if form == "gcs" else peer.client_address,
                        "env": on,
                    }
                    for name, peer in (("refusing", refusing), ("broken", broken), ("busy", busy))
                    for form in ("gcs", "client")
                }
            ),
        ).ok()
    told = ended.fields["told"]
    assert told["refusing gcs"]["error"]["kind"] == "auth"
    assert len(told) == 6 and not any(each["ok"] for each in told.values())
    assert WRONG_TOKEN not in ended.stdout + ended.stderr


_ROTATED = (
    _DEBUG
    + """
import ray
def task():
    return ray.get(ray.remote(lambda: 42).remote())
report(first=[ensure_ray_initialized(), task()])
shutdown_ray()
mark("left")
sys.stdin.read()
old = ensure_ray_initialized(connect_timeout_s=0)
report(old=[old, error()])
os.environ["RAY_AUTH_TOKEN"] = sys.argv[1]
report(new=[ensure_ray_initialized(), error(), task(), is_ray_available()])
"""
)


@pytest.mark.soak
@pytest.mark.timeout(180)
def test_a_rotated_token_is_picked_up_by_the_next_connect() -> None:
    first, second = RayHead(token=TOKEN), RayHead(token=OTHER_TOKEN)
    # The same cluster to its clients, restarted with another token.
    second._ports = first._ports
    with ExitStack() as stack:
        stack.enter_context(first)
        programs = [
            stack.enter_context(
                start(_ROTATED, OTHER_TOKEN, env={**first.env(), "RAY_ADDRESS": at})
            )
            for at in (first.gcs_address, first.client_address)
        ]
        for program in programs:
            program.wait_for_mark("left")
        first.stop()
        stack.enter_context(second)
        for program in programs:
            program.close_stdin()
        results = [program.finish(60).ok().fields for program in programs]
    for told in results:
        assert told["first"] == [True, 42]
        ok, error = told["old"]
        assert ok is False and error["kind"] == "auth"
        assert "refused the token from RAY_AUTH_TOKEN" in error["message"]
        assert told["new"] == [True, None, 42, True]


# -- TLS


@pytest.mark.parametrize("mode", MODES)
def test_a_tls_head_with_its_certificates(tls_head: RayHead, mode: str) -> None:
    told = run(_WORKS, _address(tls_head, mode), env=tls_head.env()).ok().fields
    assert (told["ok"], told["task"], told["available"]) == (True, 42, True)
    assert told["nodes"]["nodes"] == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_tls_head_tells_each_fault_apart(
    tls_head: RayHead, authority: Authority, mode: str, tmp_path: Path
) -> None:
    address = _address(tls_head, mode)
    stranger = Authority(tmp_path / "stranger", "another authority").issue("stranger")
    ours = authority.issue("client")
    unknown = CertFiles(ours.ca, stranger.cert, stranger.key)
    told = _ask(
        {
            "plaintext": {"address": address, "env": {}},
            "unknown CA": {"address": address, "env": stranger.env()},
            "our certificate refused": {"address": address, "env": unknown.env()},
            "certificate not set": {
                "address": address,
                "env": _without(ours.env(), "RAY_TLS_SERVER_CERT"),
            },
            "key not set": {"address": address, "env": _without(ours.env(), "RAY_TLS_SERVER_KEY")},
            "CA not set": {"address": address, "env": _without(ours.env(), "RAY_TLS_CA_CERT")},
            "no such file": {
                "address": address,
                "env": {**ours.env(), "RAY_TLS_CA_CERT": "/no/such/ca.crt"},
            },
            "key in place of the certificate": {
                "address": address,
                "env": {**ours.env(), "RAY_TLS_SERVER_CERT": str(ours.key)},
            },
            "key of another certificate": {
                "address": address,
                "env": {**ours.env(), "RAY_TLS_SERVER_KEY": str(stranger.key)},
            },
        }
    )
    _said(told["plaintext"], "tls", "TLS", "RAY_USE_TLS")
    _said(told["unknown CA"], "tls", "not signed by our CA", "RAY_TLS_CA_CERT")
    _said(told["our certificate refused"], "tls", "our client certificate", "cluster's CA")
    for name, variable in (
        ("certificate not set", "RAY_TLS_SERVER_CERT"),
        ("key not set", "RAY_TLS_SERVER_KEY"),
        ("CA not set", "RAY_TLS_CA_CERT"),
    ):
        _said(told[name], "tls", f"RAY_USE_TLS is set, but {variable} is not", variable)
    _said(told["no such file"], "tls", "/no/such/ca.crt", "path")
    _said(told["key in place of the certificate"], "tls", "no PEM certificate", "PEM")
    _said(told["key of another certificate"], "tls", "cannot be used together", "key belongs")


def test_tls_faults_of_scripted_servers(authority: Authority, tmp_path: Path) -> None:
    ours = authority.issue("client").env()
    with ExitStack() as stack:
        expired = GrpcPeer(tls=authority.issue("expired", expired=True))
        elsewhere = GrpcPeer(
            tls=authority.issue("elsewhere", names=("DNS:ray-head.prod", "IP:192.0.2.9"))
        )
        plain = GrpcPeer({PING_METHOD: Reply()})
        web: Any = stack.enter_context(WebServer())
        silent: Any = stack.enter_context(SilentListener())
        for peer in (expired, elsewhere, plain):
            stack.enter_context(peer)
        picky = stack.enter_context(_tls_server(authority.issue("picky")))
        servers = {
            "expired": expired.port,
            "elsewhere": elsewhere.port,
            "plain": plain.port,
            "web": web.port,
            "silent": silent.port,
            "picky": picky,
        }
        told = _ask(
            {
                f"{name} {mode}": {"address": f"{scheme}{HOST}:{port}", "env": ours}
                for name, port in servers.items()
                for mode, scheme in (("native", ""), ("client", "ray://"))
            },
            {"SEEDCORE_RAY_PROBE_TIMEOUT_S": "1"},
        )
    for mode in MODES:
        _said(told[f"expired {mode}"], "tls", "expired", "renew the head's certificate")
        _said(told[f"elsewhere {mode}"], "tls", "ray-head.prod", "subjectAltName")
        assert "192.0.2.9" in told[f"elsewhere {mode}"]["error"]["message"]
        _said(told[f"plain {mode}"], "tls", "the server does not", "unset RAY_USE_TLS")
        _said(told[f"web {mode}"], "not_ray", "web server", "10001")
        _said(told[f"silent {mode}"], "timeout", "tls", "")
        assert told[f"picky {mode}"]["error"]["kind"] in ("tls", "not_ready")


def _without(env: Mapping[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in env.items() if key != name}


@contextlib.contextmanager
def _tls_server(files: CertFiles) -> Iterator[int]:
    """Shakes hands, then hangs up; its port."""
    import socket

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    context.set_alpn_protocols(["h2"])
    listener = socket.create_server((EVERYWHERE, 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True):
                pass

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_a_pool_at_a_token_head(token_head: RayHead) -> None:
    address = token_head.client_address
    assert run(_POOL, address, env=token_head.env()).ok().fields == {"task": 42}
    told = run(_POOL, address).ok().fields
    assert told["kind"] == "auth"
    assert "token" in told["words"]


def test_a_pool_at_a_tls_head(tls_head: RayHead) -> None:
    address = tls_head.client_address
    assert run(_POOL, address, env=tls_head.env()).ok().fields == {"task": 42}
    assert run(_POOL, address).ok().fields["kind"] == "tls"
