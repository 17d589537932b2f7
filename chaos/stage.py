"""Where a scenario is played: one head, the network before it, services, and when what happened."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType

from chaos.services import Running, Service
from seedcore_ray.testing import RayHead, accepts
from seedcore_ray.testing.head import Part
from tests.support.peers import TcpRelay

_HOST = "127.0.0.1"
_ANSWERS_S = 120.0
# Services that connect at the same time.
_AT_ONCE = 2


class Stage:
    """A running head and the services on it. ``silent``: relays stand between the two."""

    def __init__(self, services: Iterable[Service], python: str, silent: bool = False) -> None:
        self.head = RayHead(python=python, start_timeout_s=_ANSWERS_S, num_cpus=4)
        self.moments: dict[str, float] = {}
        """When what happened, by the monotonic clock. ``lost`` is when it began."""
        self._python = python
        self._services = list(services)
        self._silent = silent
        self._relays: dict[str, TcpRelay] = {}
        self.running: list[Running] = []

    def __enter__(self) -> Stage:
        self.head.start()
        try:
            if self._silent:
                # Ray puts the machine's own address for 127.0.0.1: the relay is there, too.
                self._relays = {
                    "native": TcpRelay((_HOST, self.head.gcs_port), host=""),
                    "client": TcpRelay((_HOST, self.head.client_port), host=""),
                }
            for first in range(0, len(self._services), _AT_ONCE):
                self._start(self._services[first : first + _AT_ONCE])
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for running in self.running:
            running.close()
        for relay in self._relays.values():
            relay.close()
        self.head.stop()

    def _start(self, services: list[Service]) -> None:
        started = [
            service.start(self._address_of(service), self._env(), self._python)
            for service in services
        ]
        self.running += started
        for running in started:
            running.wait_until_up()

    def _env(self) -> dict[str, str]:
        # Disconnected, bare Ray's next task would connect to any Ray of this machine, natively and
        # of its own accord, or start one (docs/ray-internals.md, "auto"): not what is shown here.
        return {**self.head.env(), "RAY_ENABLE_AUTO_CONNECT": "0"}

    def _address_of(self, service: Service) -> str:
        if relay := self._relays.get(service.mode):
            return relay.client_address if service.mode == "client" else relay.address
        return self.head.client_address if service.mode == "client" else self.head.gcs_address

    # -- what can happen

    def happens(self, name: str, what: Callable[[], None]) -> None:
        """Do it, and note when it began."""
        self.moments[name] = time.monotonic()
        what()

    def kill(self, part: Part) -> None:
        """SIGKILL one part of the head: this is what the service has to ride through."""
        self.happens("lost", lambda: self.head.kill(part))

    def stop_head(self, name: str = "lost") -> None:
        """SIGKILL all of it."""
        self.happens(name, self.head.shut)

    def silence(self) -> None:
        """From now on the network carries nothing."""
        for relay in self._relays.values():
            self.happens("lost", relay.pause)

    def sound(self) -> None:
        """The network carries what it held back, and all that follows."""
        for relay in self._relays.values():
            self.happens("back native", relay.resume)
        self.moments["back client"] = self.moments["back native"]

    def until(self, seconds: float, since: str = "lost") -> None:
        """Let time pass until ``seconds`` after a moment."""
        time.sleep(max(0.0, self.moments[since] + seconds - time.monotonic()))

    def restart(self, name: str = "back") -> None:
        """A new head on the same ports; notes when each of them answers, and sets all to work."""
        watchers = [
            threading.Thread(target=self._note_answer, args=(f"{name} {mode}", port), daemon=True)
            for mode, port in (("native", self.head.gcs_port), ("client", self.head.client_port))
        ]
        self.head.shut()
        for watcher in watchers:
            watcher.start()
        self.tell("work")
        self.head.start()
        self.moments["started"] = time.monotonic()
        for watcher in watchers:
            watcher.join(_ANSWERS_S)

    def _note_answer(self, name: str, port: int) -> None:
        while not accepts(_HOST, port):
            time.sleep(0.02)
        self.moments[name] = time.monotonic()

    # -- what the services do

    def tell(self, order: str) -> None:
        """Give all services an order."""
        for running in self.running:
            running.tell(order)

    def await_said(self, what: str, bound_s: float) -> None:
        """Until each service has said it, has ended, or the time is up."""
        end = time.monotonic() + bound_s
        for running in self.running:
            while time.monotonic() < end and not running.has_ended:
                if any(word["what"] == what for word in running.said):
                    break
                time.sleep(0.05)
