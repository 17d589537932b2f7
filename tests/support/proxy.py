"""An HTTP proxy that takes CONNECT."""

from __future__ import annotations

import contextlib
import socket
import threading
from base64 import b64encode
from collections.abc import Iterable

from tests.support.peers import HOST, Listener, cut


class ConnectProxy(Listener):
    """An HTTP proxy that knows CONNECT, and a name that nobody else does.

    ``names`` are led to this machine. ``refusal`` is a status line instead of every way through;
    ``login`` the ``user:password`` that it wants.
    """

    def __init__(self, names: Iterable[str] = (), refusal: str = "", login: str = "") -> None:
        self._names = frozenset(names)
        self.refusal = refusal
        self._login = b64encode(login.encode()).decode()
        self.asked: list[str] = []
        """Every ``host:port`` that was asked for."""
        super().__init__(host=HOST)

    @property
    def url(self) -> str:
        """What to set ``grpc_proxy`` to, without the login."""
        return f"http://{self.address}"

    def _serve(self, connection: socket.socket) -> None:
        threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (byte := connection.recv(1)):
                return cut(connection)
            head += byte
        target = head.decode().split()[1]
        self.asked.append(target)
        host, _, port = target.rpartition(":")
        refusal = self.refusal
        if f"Proxy-Authorization: Basic {self._login}" not in head.decode() and self._login:
            refusal = "407 Proxy Authentication Required"
        try:
            address = (HOST if host in self._names else host.strip("[]"), int(port))
            onward = None if refusal else socket.create_connection(address, timeout=5)
        except OSError:
            refusal = "502 Bad Gateway"
        connection.sendall(f"HTTP/1.1 {refusal or '200 OK'}\r\n\r\n".encode())
        if refusal or onward is None:
            return cut(connection)
        onward.settimeout(None)
        self._connections.append(onward)
        threading.Thread(target=_copy, args=(onward, connection), daemon=True).start()
        _copy(connection, onward)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    cut(source)
    cut(sink)
