"""Peers that are not a Ray head, or only pretend to be one. Real sockets, free ports."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc

from seedcore_ray.testing import CertFiles, free_ports

HOST = "127.0.0.1"
# Natively Ray dials this machine's own address in place of HOST, and so do we.
EVERYWHERE = "0.0.0.0"

PING_METHOD = "/ray.rpc.RayletDriver/ClusterInfo"
CHECK_ALIVE_METHOD = "/ray.rpc.NodeInfoGcsService/CheckAlive"
CLUSTER_ID_METHOD = "/ray.rpc.NodeInfoGcsService/GetClusterId"
KV_GET_METHOD = "/ray.rpc.InternalKVGcsService/InternalKVGet"


def closed_port() -> int:
    """A port on which nobody listens."""
    return free_ports(1)[0]


class _Peer:
    """Something that listens on ``port`` until it is closed."""

    port: int

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{HOST}:{self.port}"

    @property
    def client_address(self) -> str:
        """``ray://host:port``."""
        return f"ray://{self.address}"

    def close(self) -> None:
        """Stop listening."""
        raise NotImplementedError

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


class Listener(_Peer):
    """Accepts in a thread and hands every connection to ``_serve``."""

    def __init__(self, port: int = 0, host: str = EVERYWHERE) -> None:
        self._socket = socket.create_server((host, port), backlog=128)
        self.port = self._socket.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._closed = False
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.accepted += 1
            self._connections.append(connection)
            self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def drop_connections(self) -> None:
        """Cut every connection; go on listening."""
        connections, self._connections = self._connections, []
        for connection in connections:
            cut(connection)

    def close(self) -> None:
        """Stop listening and cut every connection."""
        self._closed = True
        cut(self._socket)
        self.drop_connections()


class SilentListener(Listener):
    """Accepts, then says nothing."""

    def _serve(self, connection: socket.socket) -> None:
        pass


class AcceptAndClose(Listener):
    """Accepts and hangs up at once."""

    def _serve(self, connection: socket.socket) -> None:
        connection.close()


class Babbler(Listener):
    """Answers every connection with the same bytes, whatever was asked, and keeps it open."""

    def __init__(self, answer: bytes, port: int = 0) -> None:
        self._answer = answer
        super().__init__(port)

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection.sendall(self._answer)


class TcpRelay(Listener):
    """Passes bytes to ``target`` and back. Paused, it is a network that has fallen silent.

    ``host``: where it listens, by default at every address of this machine. ``delay_s``: by how
    much whatever passes comes late.
    """

    def __init__(
        self,
        target: tuple[str, int],
        port: int = 0,
        host: str = EVERYWHERE,
        delay_s: float = 0.0,
    ) -> None:
        self._target = target
        self._delay_s = delay_s
        self._last: dict[socket.socket, float] = {}
        self._flowing = threading.Event()
        self._flowing.set()
        super().__init__(port, host)

    def pause(self) -> None:
        """Hold all bytes back. Connections stay open and new ones are accepted."""
        self._flowing.clear()

    def resume(self) -> None:
        """Let the bytes through that were held back, and all that follow."""
        self._flowing.set()

    def cut_idle(self, idle_s: float) -> int:
        """Close the connections that were quiet for so long, as proxies do; how many ends."""
        before = time.monotonic() - idle_s
        idle = [end for end, last in list(self._last.items()) if last < before]
        for end in idle:
            cut(end)
        return len(idle)

    def close(self) -> None:
        """Stop listening and cut every connection."""
        super().close()
        self._flowing.set()

    def _serve(self, connection: socket.socket) -> None:
        try:
            onward = socket.create_connection(self._target, timeout=5)
        except OSError:
            cut(connection)
            return
        onward.settimeout(None)
        self._connections.append(onward)
        for source, sink in ((connection, onward), (onward, connection)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                self._last[source] = self._last[sink] = time.monotonic()
                self._flowing.wait()
                time.sleep(self._delay_s)
                sink.sendall(data)
        self._last.pop(source, None)
        cut(source)
        cut(sink)


class WebServer(_Peer):
    """An ordinary HTTP/1.1 server."""

    class _Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<h1>not Ray</h1>\n"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer((EVERYWHERE, 0), self._Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True)
class Reply:
    """What a scripted gRPC peer says to one method: a message, or a status."""

    message: bytes = b""
    code: grpc.StatusCode = grpc.StatusCode.OK
    details: str = ""


class GrpcPeer(_Peer):
    """A gRPC server that answers what it is told to and **holds** everything else.

    ``replies`` maps a method to its reply. A held call waits until the peer is told what to do with
    it: ``forward`` sends held and later calls to a real head (a late success), ``fail`` ends them,
    ``close`` cuts them.
    """

    def __init__(
        self, replies: dict[str, Reply] | None = None, *, tls: CertFiles | None = None
    ) -> None:
        self.replies = dict(replies or {})
        self.held = threading.Event()
        """Set once a call is, or was, held."""
        self.calls: list[str] = []
        """Every method that was called, in order."""
        self._decided = threading.Event()
        self._failure: Reply | None = None
        self._upstream: grpc.Channel | None = None
        # Each held or streaming call occupies a thread.
        self._threads = ThreadPoolExecutor(max_workers=64, thread_name_prefix="grpc-peer")
        self._server = grpc.server(
            self._threads,
            handlers=(_EveryMethod(self._answer),),
            options=(("grpc.so_reuseport", 0),),
        )
        if tls is None:
            self.port = self._server.add_insecure_port(f"{EVERYWHERE}:0")
        else:
            self.port = self._server.add_secure_port(f"{EVERYWHERE}:0", _server_credentials(tls))
        self._server.start()

    @classmethod
    def ray_client(cls) -> GrpcPeer:
        """Passes the probe of a Ray Client port; its ``Init`` never returns."""
        return cls({PING_METHOD: Reply(_field(2, b"{}"))})

    @classmethod
    def gcs(cls, ray_version: str, python_version: str) -> GrpcPeer:
        """Passes the probe of a GCS with these versions; all else never returns."""
        metadata = f'{{"ray_version": "{ray_version}", "python_version": "{python_version}"}}'
        status = _field(1, b"")
        return cls(
            {
                CHECK_ALIVE_METHOD: Reply(status + _field(2, ray_version.encode())),
                CLUSTER_ID_METHOD: Reply(status + _field(2, bytes(range(28)))),
                KV_GET_METHOD: Reply(status + _field(2, metadata.encode())),
            }
        )

    @classmethod
    def refusing(cls, code: grpc.StatusCode, details: str = "") -> GrpcPeer:
        """Answers every method with this status: UNAUTHENTICATED, UNIMPLEMENTED, ..."""
        peer = cls()
        peer.fail(code, details)
        return peer

    def forward(self, upstream: str, ping_too: bool = True) -> None:
        """From now on, and for what is held, be a relay to the server at ``host:port``."""
        self._upstream = grpc.insecure_channel(
            upstream, options=(("grpc.max_receive_message_length", -1),)
        )
        if ping_too:
            self.replies.clear()
        self._decided.set()

    def fail(self, code: grpc.StatusCode, details: str = "") -> None:
        """From now on, and for what is held, end every call with this status."""
        self._failure = Reply(code=code, details=details)
        self._decided.set()

    def close(self) -> None:
        """Cut every call and stop listening."""
        self._failure = self._failure or Reply(code=grpc.StatusCode.UNAVAILABLE)
        self._decided.set()
        self._server.stop(grace=None).wait(timeout=5)
        if self._upstream is not None:
            self._upstream.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _answer(
        self, method: str, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        self.calls.append(method)
        reply = self.replies.get(method)
        if reply is None:
            if not self._decided.is_set():
                if ("reconnecting", "True") in context.invocation_metadata():
                    # A look of ours. Ray's proxier knows no such session, and says so at once.
                    context.abort(grpc.StatusCode.NOT_FOUND, "no such session")
                self.held.set()
                self._decided.wait()
            if self._upstream is not None:
                yield from self._relay(method, requests, context, self._upstream)
                return
            reply = self._failure
        assert reply is not None
        if reply.code is not grpc.StatusCode.OK:
            context.abort(reply.code, reply.details)
        yield reply.message

    @staticmethod
    def _relay(
        method: str,
        requests: Iterator[bytes],
        context: grpc.ServicerContext,
        upstream: grpc.Channel,
    ) -> Iterator[bytes]:
        metadata = [
            (key, value)
            for key, value in context.invocation_metadata()
            if not key.startswith((":", "grpc-", "user-agent"))
        ]
        # On the wire a unary call is a stream of one message each way.
        call = upstream.stream_stream(method)(requests, metadata=metadata)
        context.add_callback(call.cancel)
        try:
            # Whoever calls may wait for the headers before it sends its first message.
            context.send_initial_metadata(call.initial_metadata())
            yield from call
        except grpc.RpcError as error:
            # Older grpcio raises some that know no status.
            code = getattr(error, "code", lambda: grpc.StatusCode.UNKNOWN)()
            context.abort(code, str(error))


class _EveryMethod(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Serves any method as a stream of raw bytes."""

    def __init__(
        self, answer: Callable[[str, Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]
    ) -> None:
        self._answer = answer

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = handler_call_details.method
        return grpc.stream_stream_rpc_method_handler(
            lambda requests, context: self._answer(method, requests, context)
        )


def _server_credentials(tls: CertFiles) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key.read_bytes(), tls.cert.read_bytes())],
        root_certificates=tls.ca.read_bytes(),
        require_client_auth=True,
    )


def _field(number: int, value: bytes) -> bytes:
    """A length-delimited protobuf field."""
    length = len(value)
    size = bytearray()
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    return bytes([number << 3 | 2, *size]) + value


def cut(connection: socket.socket) -> None:
    """End it for every thread that waits for it."""
    # close() alone does not wake a thread that is blocked in recv or accept on it.
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
