"""What runs in the pods: a head, worker nodes that are kept up, and a Redis."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from chaos.pods import Pod
from seedcore_ray import testing
from seedcore_ray.testing.processes import Process, descendants, exists, send_signal
from tests.support.polling import wait_until

GCS_PORT, CLIENT_PORT, _REDIS_PORT = 6379, 10001, 6379
FAR = "far"
"""A resource of the node on which no driver is."""

_REAPER = Path(testing.__file__).with_name("_reaper.py")
_MIB = 1024 * 1024
_STARTS_S = 120.0
_LOOK_S = 0.5


class Node:
    """``ray start`` in a pod: a head where ``joins`` is None, else a node of the head there."""

    def __init__(
        self,
        pod: Pod,
        directory: Path,
        python: str,
        joins: str | None = None,
        resource: str = "",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.pod = pod
        self._directory = directory / pod.name
        self._python = python
        self._joins = joins
        self._resource = resource
        self._env = {**_environment(self._directory), **(env or {})}
        self._reaper: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()

    def start(self) -> None:
        """Returns at the end of ``ray start``."""
        (self._directory / "home").mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(_REAPER), "linux", str(self._directory)]
        self._reaper = reaper = subprocess.Popen(
            [*self.pod.prefix, *command, *self._ray_start()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._env,
            cwd=self._directory,
            start_new_session=True,
        )
        assert reaper.stdout is not None
        if (line := reaper.stdout.readline()) != b"started 0\n":
            raise RuntimeError(f"`ray start` in {self.pod.name}: {line!r}\n{self._log()[-3000:]}")

    def shut(self) -> None:
        """SIGKILL all of it. Twice is fine."""
        reaper, self._reaper = self._reaper, None
        if reaper is None:
            return
        assert reaper.stdin is not None and reaper.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            reaper.stdin.write(b"keep")
            reaper.stdin.close()
        reaper.wait(timeout=30)
        reaper.stdout.close()

    def keep_up(self) -> None:
        """From now on start it again when its raylet has ended, as Kubernetes does with a pod."""
        threading.Thread(target=self._watch, name=f"keeps {self.pod.name}", daemon=True).start()

    def close(self) -> None:
        """Nothing of it is left, and nothing starts it."""
        self._over.set()
        if reaper := self._reaper:
            # Also while it starts, and does not read orders; it takes all of it along.
            for process in descendants(reaper.pid):
                if _REAPER.name in process.command:
                    send_signal(process.pid, signal.SIGTERM)
        with self._lock:
            self.shut()

    def part(self, name: str) -> Process | None:
        """The process of that name."""
        below = descendants(self._reaper.pid) if self._reaper else []
        return next((process for process in below if process.name == name), None)

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_S):
            with self._lock:
                if not self._over.is_set() and self.part("raylet") is None:
                    self.shut()
                    # Without a head that answers it ends, and is tried again.
                    with contextlib.suppress(RuntimeError):
                        self.start()

    def _log(self) -> str:
        with contextlib.suppress(OSError):  # a reaper that was ended has removed it
            return (self._directory / "head.log").read_text(errors="replace")
        return ""

    def _ray_start(self) -> list[str]:
        head = (
            *("--head", f"--port={GCS_PORT}", f"--ray-client-server-port={CLIENT_PORT}"),
            *("--include-dashboard=false", "--no-monitor"),
        )
        far = [f'--resources={{"{self._resource}": 100}}'] if self._resource else []
        return [
            *(self._python, "-m", "ray.scripts.scripts", "start"),
            *(head if self._joins is None else (f"--address={self._joins}",)),
            *far,
            f"--node-ip-address={self.pod.ip}",
            f"--temp-dir={self._directory / 'ray'}",
            "--num-cpus=1",
            f"--object-store-memory={80 * _MIB}",
            "--disable-usage-stats",
            "--log-color=false",
        ]


def _environment(directory: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RAY_", "SEEDCORE_"))
    }
    return {
        **kept,
        "HOME": str(directory / "home"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
        # gRPC calls at the instant the proxier forks a client's server make the fork fail.
        "GRPC_ENABLE_FORK_SUPPORT": "0",
        # Three nodes start at once, on few cores: Ray's 30 s are not enough on a busy machine.
        "RAY_raylet_start_wait_time_s": "120",
    }


class Redis:
    """A real ``redis-server``, for a GCS that is to survive."""

    def __init__(self, pod: Pod, directory: Path) -> None:
        self._address = (pod.ip, _REDIS_PORT)
        command = ("redis-server", "--port", str(_REDIS_PORT), "--bind", pod.ip, "--save", "")
        self._process = subprocess.Popen(
            [*pod.prefix, *command, "--protected-mode", "no", "--dir", str(directory)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(lambda: testing.accepts(*self._address), 20, "redis-server")

    def env(self) -> dict[str, str]:
        """What makes a head keep its state there."""
        return {"RAY_REDIS_ADDRESS": f"{self._address[0]}:{self._address[1]}"}

    def close(self) -> None:
        """End it."""
        _end(self._process)


def _end(entered: subprocess.Popen[bytes]) -> None:
    for process in descendants(entered.pid):
        send_signal(process.pid, signal.SIGKILL)
    entered.wait()


def no_redis() -> str | None:
    """Why there can be no Redis here; None where there can."""
    found = shutil.which("redis-server")
    return None if found else "redis-server not found (Debian: redis-server)"


class Gcs:
    """A head's ``gcs_server``, to be killed, and started again as it was started."""

    def __init__(self, head: Node) -> None:
        self._pod = head.pod
        process = wait_until(lambda: head.part("gcs_server"), 10, "a gcs_server")
        assert process is not None
        self._pid = process.pid
        folder = Path("/proc") / str(self._pid)
        self._command = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        lines = (folder / "environ").read_bytes().split(b"\0")
        self._env = dict(line.split(b"=", 1) for line in lines if b"=" in line)
        self._cwd = (folder / "cwd").readlink()
        self._again: subprocess.Popen[bytes] | None = None

    def kill(self) -> None:
        """SIGKILL, until it and its sockets are gone."""
        send_signal(self._pid, signal.SIGKILL)
        wait_until(lambda: not exists(self._pid), 10, "the end of gcs_server")

    def start(self) -> None:
        """Returns when its port accepts."""
        self._again = subprocess.Popen(
            [*(word.encode() for word in self._pod.prefix), *self._command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._env,
            cwd=self._cwd,
            start_new_session=True,
        )
        wait_until(lambda: testing.accepts(self._pod.ip, GCS_PORT), _STARTS_S, "the GCS")

    def close(self) -> None:
        """End the one that was started here."""
        if self._again is not None:
            _end(self._again)
