"""A web service in a process of its own, and clients that ask it over HTTP."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx

from seedcore_ray.testing import RayHead, free_ports
from seedcore_ray.testing.processes import descendants, is_alive
from tests.support import Program, ProgramResult, wait_until

ROOT = Path(__file__).parents[2]
SHORT = {
    "RAY_gcs_rpc_server_reconnect_timeout_s": "20",
    "SEEDCORE_RAY_LOSS_GRACE_S": "5",
    "SEEDCORE_RAY_HEALTH_INTERVAL_S": "1",
}
"""A lost cluster is noticed and given up soon."""

_IN_SERVICE = Path(__file__).parent / "in_service"
_SERVERS = {
    "uvicorn": "from uvicorn.main import main",
    "gunicorn": "from gunicorn.app.wsgiapp import run as main",
}
# Among other load the first import of Ray alone may take long.
_PATIENCE_S = 60.0


class Service:
    """A running server. As a context manager it is killed at the end, with its workers."""

    def __init__(
        self,
        app: str,
        *flags: str,
        server: Literal["uvicorn", "gunicorn"] = "uvicorn",
        env: Mapping[str, str] | None = None,
    ) -> None:
        """``app`` is ``module:attribute``, of the repository or of ``in_service``."""
        port = free_ports(1)[0]
        bind = ["--port", str(port)] if server == "uvicorn" else ["--bind", f"127.0.0.1:{port}"]
        self.url = f"http://127.0.0.1:{port}"
        path = f"{ROOT}:{_IN_SERVICE}"
        self._program = Program(
            f"import sys\n{_SERVERS[server]}\nsys.argv[0] = {server!r}\nmain()\n",
            *(app, *bind, *flags),
            env={"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **SHORT, **(env or {})},
        )

    def ask(self, path: str, method: str = "GET") -> httpx.Response:
        """One request, over a connection of its own: uvicorn closes one after an exception."""
        return httpx.request(method, self.url + path, timeout=_PATIENCE_S)

    def wait_until_serving(self) -> None:
        """Wait until it answers at all; an error that shows what it said if it ended."""
        wait_until(self._is_serving, _PATIENCE_S, f"{self.url} to answer", every_s=0.1)

    def wait_until_ready(self) -> dict[str, Any]:
        """Wait until ``/readyz`` says so; its body."""
        self.wait_until_serving()
        return self.wait_for_state("connected", ready=True)

    def wait_for_state(self, state: str, ready: bool = False) -> dict[str, Any]:
        """Wait until ``/readyz`` shows that; its body."""

        def told() -> dict[str, Any] | None:
            body: dict[str, Any] = self.ask("/readyz").json()
            return body if (body["state"], body["ready"]) == (state, ready) else None

        found = wait_until(told, _PATIENCE_S, f"/readyz to say {state}", every_s=0.1)
        assert found is not None
        return found

    def workers(self) -> list[int]:
        """The process ids of the server and of what it has started."""
        return sorted({self._program.pid, *(one.pid for one in descendants(self._program.pid))})

    def finish(self, deadline_s: float = 30.0) -> ProgramResult:
        """Wait for its end."""
        return self._program.finish(deadline_s)

    def stop(self) -> ProgramResult:
        """Ask it to end, as Kubernetes does, and wait for that."""
        self._program.signal(signal.SIGTERM)
        return self.finish()

    def _is_serving(self) -> bool:
        try:
            self.ask("/livez")
        except httpx.TransportError:
            if not is_alive(self._program.pid):
                raise AssertionError(f"it ended:\n{self.finish().told()}") from None
            return False
        return True

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *raised: object) -> None:
        self._program.__exit__(*raised)


@dataclass(frozen=True)
class Answer:
    """What one request came to."""

    path: str
    status: int | str
    """Or the error where no answer came."""
    retry_after: str | None
    text: str
    at: float
    took_s: float


@dataclass
class Load:
    """Clients that ask in turn, each again as soon as it has its answer, until it is over."""

    url: str
    requests: Sequence[tuple[str, str]]
    """Method and path."""
    answers: list[Answer] = field(default_factory=list)

    def __enter__(self) -> Load:
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._thread.join()

    def of(self, path: str) -> list[Answer]:
        """The answers to that path."""
        return [answer for answer in self.answers if answer.path == path]

    async def _run(self) -> None:
        # ray.init holds the GIL for a second or two while a head begins, and a server that was held
        # up closes connections that have been idle for its 5 s with a request on them: sooner here.
        limits = httpx.Limits(max_connections=None, keepalive_expiry=1)
        async with httpx.AsyncClient(base_url=self.url, timeout=60, limits=limits) as client:
            twice = [*self.requests, *self.requests]
            await asyncio.gather(*(self._ask(client, *request) for request in twice))

    async def _ask(self, client: httpx.AsyncClient, method: str, path: str) -> None:
        while not self._over.is_set():
            self.answers.append(await ask(client, method, path))
            await asyncio.sleep(0.05)


async def ask(client: httpx.AsyncClient, method: str, path: str) -> Answer:
    """One request. That no answer comes is an answer, too."""
    began = time.monotonic()
    status: int | str
    try:
        response = await client.request(method, path)
    except httpx.TransportError as error:
        status, retry_after, text = repr(error), None, ""
    else:
        status, text = response.status_code, response.text
        retry_after = response.headers.get("Retry-After")
    return Answer(path, status, retry_after, text, began, time.monotonic() - began)


def head_of_agents() -> RayHead:
    """A head whose workers know the example's actors; not started."""
    return RayHead(env={"PYTHONPATH": str(ROOT)})
