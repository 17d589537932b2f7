"""A real Celery worker on a real redis, and tasks that are asked of it."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery import Celery

from seedcore_ray.testing import RayHead, accepts, free_ports
from tests.support import Program, wait_until
from tests.support.debian import program

_APP = "in_celery"
_FOLDER = Path(__file__).parent / "in_worker"
_PATIENCE_S = 60.0


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A redis that keeps nothing; its URL."""
    found = program("redis-server")
    port = free_ports(1)[0]
    command = [found.path, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen(
        command, cwd=folder, env=found.env, stdout=subprocess.DEVNULL, start_new_session=True
    ) as server:
        try:
            wait_until(lambda: accepts("127.0.0.1", port), _PATIENCE_S, "redis to accept")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.kill()


class CeleryWorker:
    """A running worker of two processes or threads. As a context manager it is killed at the end.

    Its application is ``in_worker/in_celery.py``.
    """

    def __init__(
        self, broker: str, pool: str, head: RayHead, env: Mapping[str, str] | None = None
    ) -> None:
        """``env`` tells the application what to do when."""
        quick = ("--without-gossip", "--without-mingle", "--without-heartbeat")
        self._program = Program(
            "import sys\nfrom celery.__main__ import main\nsys.argv[0] = 'celery'\nmain()\n",
            *("-A", _APP, "worker", "--pool", pool, "--concurrency", "2", *quick),
            *("--loglevel", "INFO", "--logfile", ""),
            env={
                "PYTHONPATH": str(_FOLDER),
                "BROKER": broker,
                "RAY_ADDRESS": head.gcs_address,
                **head.env(),
                **(env or {}),
            },
        )
        self._client = Celery(_APP, broker=broker, backend=broker)

    def ask(self, task: str) -> Any:
        """Run a task of the application; what it returned. What it raised is raised here."""
        return self._client.send_task(f"{_APP}.{task}").get(timeout=_PATIENCE_S)

    def wait_for_line(self, text: str) -> str:
        """The first line that the worker logged with ``text`` in it."""
        return self._program.wait_for_error_line(text, _PATIENCE_S)

    def stop(self) -> str:
        """Ask it to end as its supervisor does; what it has logged. It must end with 0."""
        self._program.signal(signal.SIGTERM)
        return self._program.finish(_PATIENCE_S).ok().stderr

    def __enter__(self) -> CeleryWorker:
        return self

    def __exit__(self, *raised: object) -> None:
        self._client.close()
        self._program.__exit__(*raised)
