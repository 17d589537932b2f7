"""Throw-away certificates, from the ``openssl`` command: good, expired, of another authority."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from seedcore_ray.testing import CertFiles
from tests.support.secrets import key_is_secret

_LOOPBACK = ("DNS:localhost", "IP:127.0.0.1")


def node_ip() -> str:
    """The address Ray gives this machine. A connected UDP socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


class Authority:
    """A certificate authority in a directory. Two of them do not know each other."""

    def __init__(self, directory: Path, name: str = "test authority") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.cert = directory / "ca.crt"
        self._key = directory / "ca.key"
        _make_key(self._key)
        _openssl(
            *("req", "-x509", "-new", "-key", str(self._key), "-out", str(self.cert)),
            *("-subj", f"/CN={name}", "-days", "2"),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )

    def issue(
        self, name: str, *, names: tuple[str, ...] | None = None, expired: bool = False
    ) -> CertFiles:
        """A certificate for both roles, as Ray wants it: its servers are clients of each other.

        ``names`` are the subject alternative names (``DNS:...``, ``IP:...``); by default those
        of this machine.
        """
        files = CertFiles(
            self.cert, self._directory / f"{name}.crt", self._directory / f"{name}.key"
        )
        request = self._directory / f"{name}.csr"
        extensions = self._directory / f"{name}.ext"
        _make_key(files.key)
        _openssl(
            "req", "-new", "-key", str(files.key), "-out", str(request), "-subj", f"/CN={name}"
        )
        alternatives = names or (*_LOOPBACK, f"IP:{node_ip()}")
        extensions.write_text(
            f"subjectAltName={','.join(alternatives)}\n"
            "basicConstraints=CA:FALSE\n"
            "extendedKeyUsage=serverAuth,clientAuth\n"
        )
        _openssl(
            *("x509", "-req", "-in", str(request), "-out", str(files.cert)),
            *("-CA", str(self.cert), "-CAkey", str(self._key), "-CAcreateserial"),
            *("-extfile", str(extensions), "-days", "-1" if expired else "2"),
        )
        return files


def _make_key(path: Path) -> None:
    # An elliptic curve key is made in milliseconds. PKCS 8, which rustls and gRPC both read.
    _openssl(
        *("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(path))
    )
    key_is_secret(path.read_text(), "a private key")


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]} failed: {done.stderr}")
