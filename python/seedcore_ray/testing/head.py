"""A private Ray head: free ports, its own directory and home, removed completely by ``stop``."""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seedcore_ray.testing import processes
from seedcore_ray.testing.ports import PortBlock, accepts, claim_block, free_ports
from seedcore_ray.testing.processes import Process, descendants, exists, send_signal

Part = Literal["gcs_server", "raylet", "proxier"]

_REAPER = Path(__file__).with_name("_reaper.py")
_START = Path(__file__).with_name("_start.py")
_MIB = 1024 * 1024
# Ray turns it into the machine's own address for itself, and listens on both.
_HOST = "127.0.0.1"
_POLL_S = 0.05


class HeadError(RuntimeError):
    """The head did not start, or is not in the state that a method needs."""


@dataclass(frozen=True)
class CertFiles:
    """One side's TLS files, in the form Ray wants them."""

    ca: Path
    cert: Path
    key: Path

    def env(self) -> dict[str, str]:
        """The variables that make Ray use these files."""
        return {
            "RAY_USE_TLS": "1",
            "RAY_TLS_CA_CERT": str(self.ca),
            "RAY_TLS_SERVER_CERT": str(self.cert),
            "RAY_TLS_SERVER_KEY": str(self.key),
        }


@dataclass(frozen=True)
class ExistingCluster:
    """A cluster that was there before the tests, in the place of a ``RayHead``."""

    address: str
    """As given: ``auto``, ``host:port`` or ``ray://host[:port]``."""

    def env(self) -> dict[str, str]:
        """Nothing: the environment has the credentials already."""
        return {}


# Every fixed port of a head. The kernel chooses the others.
_GCS, _CLIENT = "--port", "--ray-client-server-port"
_PORTS = (
    _GCS,
    _CLIENT,
    "--node-manager-port",
    "--object-manager-port",
    "--dashboard-agent-grpc-port",
    "--dashboard-agent-listen-port",
    "--runtime-env-agent-port",
    "--metrics-export-port",
    "--dashboard-port",
)


class RayHead:
    """A real Ray head of our own. Use it as a context manager, or call ``start`` and ``stop``.

    ``token`` turns on token authentication, ``tls`` mutual TLS; both off by default whatever the
    environment says. ``env`` is added to the head's environment. ``private_pids`` (root only) hides
    every other Ray of the machine from it: see ``enter``. ``python`` is the interpreter whose Ray
    is started.
    """

    def __init__(
        self,
        *,
        num_cpus: int = 2,
        token: str | None = None,
        tls: CertFiles | None = None,
        env: Mapping[str, str] | None = None,
        private_pids: bool = False,
        python: str = sys.executable,
        start_timeout_s: float = 90.0,
    ) -> None:
        self._num_cpus = num_cpus
        self._token = token
        self._tls = tls
        self._extra_env = dict(env or {})
        self._private_pids = private_pids
        self._python = python
        self._start_timeout_s = start_timeout_s
        self._ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        self._server_ports: PortBlock | None = None
        self._base: Path | None = None
        self._reaper: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()

    # -- where it is

    @property
    def gcs_port(self) -> int:
        """Port of the GCS: what native drivers connect to."""
        return self._ports[_GCS]

    @property
    def client_port(self) -> int:
        """Port of the Ray Client server."""
        return self._ports[_CLIENT]

    @property
    def address(self) -> str:
        """What to connect to unless there is a reason for Ray Client: ``gcs_address``."""
        return self.gcs_address

    @property
    def gcs_address(self) -> str:
        """``host:port`` for a native driver."""
        return f"{_HOST}:{self.gcs_port}"

    @property
    def client_address(self) -> str:
        """``ray://host:port`` for a Ray Client."""
        return f"ray://{_HOST}:{self.client_port}"

    @property
    def auto_address(self) -> str:
        """``host:port`` that ``auto`` resolves to: the same GCS under the machine's own address."""
        return (self.temp_dir / "ray_current_cluster").read_text()

    @property
    def directory(self) -> Path:
        """The head's own directory; removed by ``stop``."""
        if self._base is None:
            raise HeadError("the head was not started")
        return self._base

    @property
    def temp_dir(self) -> Path:
        """Ray's ``--temp-dir``: sessions, logs and ``ray_current_cluster``."""
        return self.directory / "ray"

    def env(self) -> dict[str, str]:
        """What a program needs in its environment to log in to this head, by ``auto`` too.

        With ``RAY_TMPDIR`` set, ``auto`` takes this head even when others run on the machine: of
        several, Ray takes the one named in ``$RAY_TMPDIR/ray/ray_current_cluster``.
        """
        credentials = self._tls.env() if self._tls else {}
        if self._token is not None:
            credentials |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self._token}
        return {"RAY_TMPDIR": str(self.directory), **credentials}

    def enter(self) -> list[str]:
        """Command prefix that runs a program among the head's own processes.

        Empty without ``private_pids``. With it, the program sees this head and no other Ray.
        """
        if not self._private_pids:
            return []
        reaper = next(p for p in descendants(self._reaper_pid()) if _REAPER.name in p.command)
        return ["nsenter", "--target", str(reaper.pid), "--pid", "--mount", "--"]

    # -- its life

    def start(self) -> RayHead:
        """Start it and wait until both of its ports accept."""
        if self._reaper is not None:
            raise HeadError("the head runs already")
        if self._base is None:
            # Short: Ray puts Unix sockets below, whose paths end at 107 characters.
            self._base = Path(tempfile.mkdtemp(prefix="srh-", dir="/tmp"))
            (self._base / "home").mkdir()
        self._owner = os.getpid()
        atexit.register(self.stop)
        give_up = time.monotonic() + self._start_timeout_s
        self._server_ports = claim_block()
        self._reaper = self._launch(self._server_ports)
        try:
            self._wait_until_started(give_up)
        except BaseException as error:
            told = f"{error}\n{self.log_tail()}"
            self.stop()
            if isinstance(error, HeadError):
                raise HeadError(told) from None
            raise
        return self

    def stop(self) -> None:
        """Kill all of its processes and remove its directory. Twice is fine.

        In a forked child, which inherits this object and not the head, it does nothing: neither
        does ``shut``, and a child may leave through the ``with`` of its parent.
        """
        if self._is_inherited():
            return
        self._end(b"stop")
        if self._base is not None:
            shutil.rmtree(self._base, ignore_errors=True)
            self._base = None
        atexit.unregister(self.stop)

    def restart(self) -> None:
        """Stop it and start a new cluster on the same ports."""
        self.shut()
        self.start()

    def shut(self) -> None:
        """Kill all of its processes; keep ports and directory, the stale address file included."""
        if not self._is_inherited():
            self._end(b"keep")

    def __enter__(self) -> RayHead:
        return self.start()

    def __exit__(self, *raised: object) -> None:
        self.stop()

    # -- what it consists of

    def processes(self) -> list[Process]:
        """All live processes of the head."""
        return [p for p in descendants(self._reaper_pid()) if _REAPER.name not in p.command]

    def kill(self, part: Part) -> None:
        """SIGKILL one part of the head; returns when it and its sockets are gone."""
        pid = self._part(part).pid
        send_signal(pid, signal.SIGKILL)
        give_up = time.monotonic() + 10
        while exists(pid):
            if time.monotonic() > give_up:
                raise HeadError(f"{part} ({pid}) outlived SIGKILL")
            time.sleep(_POLL_S)

    def freeze(self, part: Part | None = None) -> None:
        """SIGSTOP one part, or all: ports still accept, nobody answers."""
        self._signal_all(part, signal.SIGSTOP)

    def thaw(self, part: Part | None = None) -> None:
        """Undo ``freeze``."""
        self._signal_all(part, signal.SIGCONT)

    def client_servers(self) -> list[Process]:
        """The servers for Ray Clients, one for each; it ends some seconds after its client."""
        return [p for p in self.processes() if "--mode=specific-server" in p.command]

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of what ``ray start`` printed."""
        with contextlib.suppress(OSError, HeadError):
            text = (self.directory / "head.log").read_text(errors="replace")
            return "\n".join(text.splitlines()[-lines:])
        return ""

    # -- within

    def _launch(self, servers: PortBlock) -> subprocess.Popen[bytes]:
        namespace = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
        return subprocess.Popen(
            [
                *(namespace if self._private_pids else []),
                sys.executable,
                str(_REAPER),
                "portable" if processes.PORTABLE else "linux",
                str(self.directory),
                *self._ray_start(servers),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment(),
            cwd=self.directory,
            # Ctrl-C at the terminal is for the owner; the reaper ends the head when told.
            start_new_session=True,
        )

    def _ray_start(self, servers: PortBlock) -> list[str]:
        # Not --block: that ends the whole head as soon as one part of it is killed.
        return [
            *(self._python, str(_START), str(servers.first), str(servers.last)),
            *("start", "--head"),
            f"--node-ip-address={_HOST}",
            *(f"{flag}={port}" for flag, port in self._ports.items()),
            # 0: the kernel chooses. The default, 10002-19999, is everybody's.
            *("--min-worker-port=0", "--max-worker-port=0"),
            f"--temp-dir={self.temp_dir}",
            f"--num-cpus={self._num_cpus}",
            f"--object-store-memory={80 * _MIB}",
            "--include-dashboard=false",
            # The autoscaler, which has nothing to scale here.
            "--no-monitor",
            "--disable-usage-stats",
            "--log-color=false",
        ]

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RAY_", "SEEDCORE_"))
        }
        return {
            **kept,
            "HOME": str(self.directory / "home"),
            "RAY_USAGE_STATS_ENABLED": "0",
            # gRPC calls at the instant the proxier forks a client's server make the fork fail.
            "GRPC_ENABLE_FORK_SUPPORT": "0",
            "RAY_AUTH_MODE": "disabled",
            **self.env(),
            **self._extra_env,
        }

    def _wait_until_started(self, give_up: float) -> None:
        reaper = self._reaper
        assert reaper is not None and reaper.stdout is not None
        ready, _, _ = select.select([reaper.stdout], [], [], max(0.0, give_up - time.monotonic()))
        if not ready:
            raise HeadError(f"`ray start` did not end within {self._start_timeout_s:g} s")
        if (line := reaper.stdout.readline()) != b"started 0\n":
            raise HeadError(f"`ray start` failed: {line.decode().strip() or 'reaper died'}")
        for port in (self.gcs_port, self.client_port):
            while not accepts(_HOST, port):
                if time.monotonic() > give_up:
                    raise HeadError(f"port {port} does not accept")
                time.sleep(_POLL_S)

    def _end(self, order: bytes) -> None:
        reaper, self._reaper = self._reaper, None
        if reaper is None:
            return
        assert reaper.stdin is not None and reaper.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            reaper.stdin.write(order)
            reaper.stdin.close()
        try:
            reaper.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(reaper.pid, signal.SIGKILL)
            reaper.wait()
        reaper.stdout.close()
        if self._server_ports is not None:
            self._server_ports.release()

    def _is_inherited(self) -> bool:
        return os.getpid() != self._owner

    def _reaper_pid(self) -> int:
        if self._reaper is None:
            raise HeadError("the head is not running")
        return self._reaper.pid

    def _part(self, part: Part) -> Process:
        for process in self.processes():
            if process.name == part or (part == "proxier" and "--mode=proxy" in process.command):
                return process
        raise HeadError(f"this head has no {part}")

    def _signal_all(self, part: Part | None, number: signal.Signals) -> None:
        for process in [self._part(part)] if part else self.processes():
            send_signal(process.pid, number)
