"""The harness itself: what the other tests take for granted."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from seedcore_ray.testing import CertFiles, HeadError, RayHead, accepts, free_ports
from seedcore_ray.testing._start import without_empty_setup
from seedcore_ray.testing.ports import claim_block
from seedcore_ray.testing.processes import descendants, is_alive
from tests.support import (
    AcceptAndClose,
    Authority,
    GrpcPeer,
    Program,
    SilentListener,
    TcpRelay,
    WebServer,
    closed_port,
    run_program,
    wait_until,
)
from tests.support.peers import CHECK_ALIVE_METHOD, KV_GET_METHOD, PING_METHOD

TASK = """
    import sys, ray
    ray.init(sys.argv[1], logging_level="ERROR")
    answer = ray.get(ray.remote(lambda: 6 * 7).remote())
    report(answer=answer, client=ray.util.client.ray.is_connected())
"""
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="pid namespaces need root")


def call(address: str, method: str, request: bytes = b"", timeout_s: float = 5.0) -> bytes:
    with grpc.insecure_channel(address) as channel:
        return bytes(channel.unary_unary(method)(request, timeout=timeout_s))


# -- programs


def test_program_reports_and_marks() -> None:
    done = run_program("import sys; mark('a'); report(x=1); report(y=sys.argv[1])", "two").ok()
    assert done.fields == {"x": 1, "y": "two"}


def test_program_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://elsewhere:1")
    monkeypatch.setenv("SEEDCORE_NS", "elsewhere")
    seen = run_program(
        "import os; report(names=list(os.environ), home=os.environ['HOME'], x=os.environ['X'])",
        env={"X": "kept"},
    ).fields
    assert not {"RAY_ADDRESS", "SEEDCORE_NS", "PYTHONPATH"} & set(seen["names"])
    assert seen["home"].startswith("/tmp/srp-") and not Path(seen["home"]).exists()
    assert seen["x"] == "kept"


def test_signal_after_mark() -> None:
    source = """
        import time
        try:
            mark("waiting"); time.sleep(30)
        except KeyboardInterrupt:
            report(interrupted=time.monotonic())
    """
    with Program(source) as program:
        program.wait_for_mark("waiting")
        sent = program.signal(signal.SIGINT)
        assert program.finish(5).fields["interrupted"] - sent < 3


def test_program_past_its_deadline_is_killed_with_its_children() -> None:
    source = """
        import subprocess
        child = subprocess.Popen(["sleep", "60"])
        mark("up"); child.wait()
    """
    with Program(source) as program:
        program.wait_for_mark("up")
        child = descendants(program.pid)[-1]
        with pytest.raises(TimeoutError, match="@mark up"):
            program.finish(0.1)
    wait_until(lambda: not is_alive(child.pid), 2, "child killed")


def test_mark_of_a_program_that_died_tells_why() -> None:
    with (
        Program("raise SystemExit('gone wrong')") as program,
        pytest.raises(AssertionError, match="gone wrong"),
    ):
        program.wait_for_mark("never")


def test_wait_until_names_what_did_not_come() -> None:
    with pytest.raises(TimeoutError, match="a white raven"):
        wait_until(lambda: False, 0.05, "a white raven")


def test_fresh_env(fresh_env: pytest.MonkeyPatch) -> None:
    assert "RAY_ADDRESS" not in os.environ
    fresh_env.setenv("RAY_ADDRESS", "auto")


# -- peers


def test_closed_port_refuses() -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", closed_port()), timeout=1)


def test_free_ports_are_distinct_and_below_the_ephemeral_range() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50 and max(ports) < 32_768


def test_ports_are_given_to_one_process_only() -> None:
    (port,), block = free_ports(1), claim_block()
    source = """
        import sys
        from seedcore_ray.testing.ports import _claim
        report(claimed=[_claim(int(port)) is not None for port in sys.argv[1:]])
    """
    ports = str(port), str(block.first)
    assert run_program(source, *ports).fields == {"claimed": [False, False]}
    block.release()
    assert run_program(source, *ports).fields == {"claimed": [False, True]}


def test_silent_listener_accepts_and_says_nothing() -> None:
    with SilentListener() as peer, socket.create_connection(("127.0.0.1", peer.port)) as us:
        us.settimeout(0.2)
        us.sendall(b"anyone?")
        with pytest.raises(TimeoutError):
            us.recv(1)


def test_accept_and_close() -> None:
    with AcceptAndClose() as peer, socket.create_connection(("127.0.0.1", peer.port)) as us:
        us.settimeout(2)
        assert us.recv(1) == b""


def test_web_server_speaks_http() -> None:
    with WebServer() as peer, socket.create_connection(("127.0.0.1", peer.port)) as us:
        us.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert us.recv(9).startswith(b"HTTP/1.")


def test_relay_pauses_resumes_and_closes() -> None:
    with (
        WebServer() as web,
        TcpRelay(("127.0.0.1", web.port)) as relay,
        socket.create_connection(("127.0.0.1", relay.port)) as us,
    ):
        relay.pause()
        us.sendall(b"GET / HTTP/1.0\r\n\r\n")
        us.settimeout(0.2)
        with pytest.raises(TimeoutError):
            us.recv(1)
        relay.resume()
        us.settimeout(2)
        assert us.recv(4) == b"HTTP"
    assert not accepts("127.0.0.1", relay.port)


def test_scripted_client_port_answers_ping_and_holds_the_rest() -> None:
    with GrpcPeer.ray_client() as peer:
        assert call(peer.address, PING_METHOD, b"\x08\x06") == b"\x12\x02{}"
        with pytest.raises(grpc.RpcError) as held:
            call(peer.address, "/ray.rpc.RayletDriver/Init", timeout_s=0.3)
        assert held.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert peer.held.is_set()
        peer.fail(grpc.StatusCode.ABORTED, "no more")
        with pytest.raises(grpc.RpcError, match="no more"):
            call(peer.address, "/ray.rpc.RayletDriver/Init")


def test_scripted_gcs_has_versions() -> None:
    with GrpcPeer.gcs("9.8.7", "3.99.0") as peer:
        assert call(peer.address, CHECK_ALIVE_METHOD).endswith(b"9.8.7")
        assert b'"python_version": "3.99.0"' in call(peer.address, KV_GET_METHOD)


def test_refusing_peer() -> None:
    with GrpcPeer.refusing(grpc.StatusCode.UNAUTHENTICATED, "who are you") as peer:
        with pytest.raises(grpc.RpcError) as refused:
            call(peer.address, PING_METHOD)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


# -- certificates


def handshake(server: CertFiles, client: CertFiles, name: str = "localhost") -> None:
    """Mutual TLS over a socket pair, or the client's ``ssl.SSLError``."""
    ours = ssl.create_default_context(cafile=str(client.ca))
    ours.load_cert_chain(client.cert, client.key)
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(server.ca))
    theirs.verify_mode = ssl.CERT_REQUIRED
    theirs.load_cert_chain(server.cert, server.key)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = ours.wrap_bio(to_client, to_server, server_hostname=name)
    there = theirs.wrap_bio(to_server, to_client, server_side=True)
    for side in (here, there) * 3:
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue


def test_certificates(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path / "a"), Authority(tmp_path / "b", "another authority")
    server, client = ours.issue("server"), ours.issue("client")
    handshake(server, client)
    with pytest.raises(ssl.SSLError, match=r"self-signed|unable to get local issuer"):
        handshake(server, other.issue("stranger"))
    with pytest.raises(ssl.SSLError, match="Hostname mismatch"):
        handshake(ours.issue("elsewhere", names=("DNS:elsewhere.example",)), client)
    expired = ours.issue("expired", expired=True)
    with pytest.raises(ssl.SSLError, match="expired"):
        handshake(expired, client)


# -- heads


@AS_ROOT
def test_private_pids_hide_every_other_ray(ray_head: RayHead) -> None:
    source = """
        from ray._private.services import find_gcs_addresses
        report(found=sorted(find_gcs_addresses()))
    """
    assert run_program(source, private_pids=True).ok().fields == {"found": []}
    assert ray_head.auto_address in run_program(source).ok().fields["found"]


def test_head_serves_all_three_kinds_of_address(ray_head: RayHead) -> None:
    for address in ("auto", ray_head.gcs_address, ray_head.client_address):
        done = run_program(TASK, address, env=ray_head.env()).ok()
        assert done.fields == {"answer": 42, "client": address.startswith("ray://")}


def test_a_head_runs_no_dashboard(ray_head: RayHead) -> None:
    commands = [process.command for process in ray_head.processes()]
    assert any("--mode=proxy" in command for command in commands)
    assert not any("dashboard.py" in command for command in commands)


@pytest.mark.parametrize(("context", "is_short"), [("EMPTY", True), ("OTHER", False)])
def test_a_client_server_is_set_up_when_there_is_something_to_set_up(
    context: str, is_short: bool
) -> None:
    from ray._private.runtime_env.context import RuntimeEnvContext

    contexts = {"EMPTY": RuntimeEnvContext(), "OTHER": RuntimeEnvContext(env_vars={"A": "1"})}
    server = ["-m", "ray.util.client.server", "--port=23000"]
    setup = [
        "--language=PYTHON",
        f"--serialized-runtime-env-context={contexts[context].serialize()}",
    ]
    command = ["python", "/ray/_private/workers/setup_worker.py", *server, *setup]
    assert without_empty_setup(command) == (["python", *server] if is_short else command)


@pytest.mark.soak
def test_a_head_starts_on_a_machine_that_takes_its_time() -> None:
    """Ray alone gives up after 30 seconds: "The current node timed out during startup"."""
    head = RayHead()

    def has_raylet() -> bool:
        with suppress(HeadError):  # not launched yet
            return any(process.name == "raylet" for process in head.processes())
        return False

    try:
        with ThreadPoolExecutor() as pool:
            started = pool.submit(head.start)
            wait_until(has_raylet, 60, "a raylet")
            head.freeze("raylet")
            with pytest.raises(FutureTimeout):
                started.result(timeout=35)
            head.thaw("raylet")
            started.result()
        run_program(TASK, head.gcs_address, env=head.env()).ok()
    finally:
        head.stop()


def test_client_servers_are_counted(ray_head: RayHead) -> None:
    source = """
        import sys, threading, ray
        ray.init(sys.argv[1], logging_level="ERROR"); mark("connected"); threading.Event().wait()
    """
    # Those of clients that have left may go at any moment.
    before = {server.pid for server in ray_head.client_servers()}
    with Program(source, ray_head.client_address, env=ray_head.env()) as program:
        program.wait_for_mark("connected")
        (server,) = (each for each in ray_head.client_servers() if each.pid not in before)
    # Not of the range that all heads of the machine share, unless ours keeps them out of it.
    assert not re.search(r"--port=23\d\d\d ", server.command), server.command


@pytest.mark.soak
def test_a_held_init_succeeds_late_through_the_peer(ray_head: RayHead) -> None:
    with (
        GrpcPeer.ray_client() as peer,
        Program(TASK, peer.client_address, env=ray_head.env()) as program,
    ):
        wait_until(peer.held.is_set, 30, "the client's first call held")
        peer.forward(f"127.0.0.1:{ray_head.client_port}")
        assert program.finish(60).ok().fields == {"answer": 42, "client": True}


def test_head_leaves_home_and_shared_address_file_alone(ray_head: RayHead) -> None:
    shared = Path("/tmp/ray/ray_current_cluster")
    assert not shared.exists() or shared.read_text() != ray_head.auto_address
    assert ray_head.directory.parent == Path("/tmp")


@pytest.mark.soak
def test_a_head_freezes_restarts_loses_its_parts_and_leaves_nothing(own_head: RayHead) -> None:
    """In one life: a head takes seconds to start."""
    own_head.freeze("gcs_server")
    with pytest.raises(grpc.RpcError):
        call(own_head.gcs_address, CHECK_ALIVE_METHOD, timeout_s=0.5)
    own_head.thaw("gcs_server")
    assert call(own_head.gcs_address, CHECK_ALIVE_METHOD)

    addresses = own_head.gcs_address, own_head.client_address
    first = call(own_head.gcs_address, "/ray.rpc.NodeInfoGcsService/GetClusterId")
    own_head.restart()
    assert (own_head.gcs_address, own_head.client_address) == addresses
    assert call(own_head.gcs_address, "/ray.rpc.NodeInfoGcsService/GetClusterId") != first

    # A worker and a client's server too.
    run_program(TASK, own_head.client_address, env=own_head.env()).ok()
    processes, directory = own_head.processes(), own_head.directory
    own_head.kill("proxier")
    assert not accepts("127.0.0.1", own_head.client_port)
    assert accepts("127.0.0.1", own_head.gcs_port)
    own_head.kill("gcs_server")
    assert not accepts("127.0.0.1", own_head.gcs_port)
    own_head.kill("raylet")
    own_head.stop()
    assert [process for process in processes if is_alive(process.pid)] == []
    assert not directory.exists()
    own_head.stop()


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.soak)]
)
def test_head_ends_with_its_owner_and_not_with_a_forked_child(number: signal.Signals) -> None:
    source = """
        import os, sys, threading
        sys.path.insert(0, sys.argv[1])
        from seedcore_ray.testing import RayHead
        with RayHead() as head:
            if (child := os.fork()) == 0:
                sys.exit()
            os.waitpid(child, 0)
            # Shuts and starts it in its directory, which a stopped head has lost.
            head.restart()
            report(directory=str(head.directory), pids=[p.pid for p in head.processes()])
            mark("up"); threading.Event().wait()
    """
    package_root = str(Path(sys.modules["seedcore_ray.testing"].__path__[0]).parents[1])
    with Program(source, package_root) as program:
        program.wait_for_mark("up", 90)
        program.signal(number)
        fields = program.finish(60).fields
    wait_until(lambda: not any(map(is_alive, fields["pids"])), 15, "processes gone")
    wait_until(lambda: not Path(fields["directory"]).exists(), 15, "directory gone")


@pytest.mark.soak
@AS_ROOT
def test_head_in_a_pid_namespace_is_the_only_one_its_programs_see() -> None:
    with RayHead(private_pids=True) as head:
        # No RAY_TMPDIR: found by the process scan alone.
        done = run_program(TASK, "auto", prefix=head.enter()).ok()
        assert done.fields["answer"] == 42


@pytest.mark.soak
def test_token_head_wants_the_token(token_head: RayHead) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        call(token_head.gcs_address, CHECK_ALIVE_METHOD)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    for address in (token_head.gcs_address, token_head.client_address):
        assert run_program(TASK, address, env=token_head.env()).ok().fields["answer"] == 42


@pytest.mark.soak
def test_tls_head_wants_a_certificate(tls_head: RayHead, authority: Authority) -> None:
    env = {**tls_head.env(), **authority.issue("client").env()}
    for address in (tls_head.gcs_address, tls_head.client_address):
        assert run_program(TASK, address, env=env).ok().fields["answer"] == 42
    began = time.monotonic()
    with pytest.raises(grpc.RpcError):
        call(tls_head.gcs_address, CHECK_ALIVE_METHOD, timeout_s=2)
    assert time.monotonic() - began < 5
