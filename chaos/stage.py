"""Where a scenario is played: one head, the network before it, services."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from chaos.cast import ANSWERS_S, Cast
from chaos.services import Service
from seedcore_ray.testing import RayHead
from seedcore_ray.testing.head import Part
from tests.support.peers import TcpRelay

_HOST = "127.0.0.1"


class Stage(Cast):
    """A running head and the services on it. ``silent``: relays stand between the two."""

    def __init__(self, services: Sequence[Service], python: str, silent: bool = False) -> None:
        super().__init__(services, python)
        self.head = RayHead(python=python, start_timeout_s=ANSWERS_S, num_cpus=4)
        self._silent = silent
        self._relays: dict[str, TcpRelay] = {}

    def _set_up(self) -> None:
        self.head.start()
        if self._silent:
            # Ray puts the machine's own address for 127.0.0.1: the relay is there, too.
            self._relays = {
                "native": TcpRelay((_HOST, self.head.gcs_port), host=""),
                "client": TcpRelay((_HOST, self.head.client_port), host=""),
            }

    def _take_down(self) -> None:
        for relay in self._relays.values():
            relay.close()
        self.head.stop()

    def _env(self) -> Mapping[str, str]:
        return {**self.head.env(), **super()._env()}

    def _address_of(self, service: Service) -> str:
        if relay := self._relays.get(service.mode):
            return relay.client_address if service.mode == "client" else relay.address
        return self.head.client_address if service.mode == "client" else self.head.gcs_address

    # -- what can happen

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

    def restart(self, name: str = "back") -> None:
        """A new head on the same ports; notes when each of them answers, and sets all to work."""
        ports = (("native", self.head.gcs_port), ("client", self.head.client_port))
        watchers = [
            threading.Thread(
                target=self.note_answer, args=(f"{name} {mode}", _HOST, port), daemon=True
            )
            for mode, port in ports
        ]
        self.head.shut()
        for watcher in watchers:
            watcher.start()
        self.tell("work")
        self.head.start()
        self.moments["started"] = time.monotonic()
        for watcher in watchers:
            watcher.join(ANSWERS_S)
