"""A name server that can die, and a ``resolv.conf`` that names it."""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path

from chaos.pods import BRIDGE_IP, run

_PORT = 53
_TTL_S = 1
_A, _IN = 1, 1
_ANSWER, _NO_SUCH_NAME = 0x8580, 0x8583
_POLL_S = 0.1


class NameServer:
    """Answers for A records, from the scenario's own address. It starts with ``start``."""

    def __init__(self) -> None:
        self.records: dict[str, str] = {}
        """By name, without a dot at its end."""
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Answer, from now on."""
        self._over.clear()
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((BRIDGE_IP, _PORT))
        server.settimeout(_POLL_S)
        self._thread = threading.Thread(target=self._serve, args=(server,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Its port is closed, as when its process was killed. Twice is fine."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _serve(self, server: socket.socket) -> None:
        with server:
            while not self._over.is_set():
                try:
                    query, client = server.recvfrom(512)
                except TimeoutError:
                    continue
                server.sendto(self._reply(query), client)

    def _reply(self, query: bytes) -> bytes:
        name, kind, question = _question(query)
        ip = self.records.get(name)
        found = [socket.inet_aton(ip)] if ip and kind == _A else []
        # A name that exists has no record of another kind (AAAA), which is not "no such name".
        flags = _ANSWER if ip else _NO_SUCH_NAME
        head = struct.pack("!2sHHHHH", query[:2], flags, 1, len(found), 0, 0)
        # The name once more, as a pointer to the question's.
        answers = (struct.pack("!HHHIH4s", 0xC00C, _A, _IN, _TTL_S, 4, data) for data in found)
        return head + question + b"".join(answers)


def _question(query: bytes) -> tuple[str, int, bytes]:
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode("ascii", "replace").lower())
        at += 1 + length
    (kind,) = struct.unpack_from("!H", query, at + 1)
    return ".".join(labels), kind, query[12 : at + 5]


def use_name_server(directory: Path) -> None:
    """Have every program of this mount namespace ask it."""
    file = directory / "resolv.conf"
    file.write_text(f"nameserver {BRIDGE_IP}\n")
    run("mount", "--bind", str(file), "/etc/resolv.conf")
