"""The services of a scenario, and when what happened to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TypeVar

from chaos.services import Running, Service
from seedcore_ray.testing import accepts

ANSWERS_S = 120.0
# Services that connect at the same time.
_AT_ONCE = 2

Self = TypeVar("Self", bound="Cast")


class Cast:
    """Where the services of a scenario run. What there is beside them is the subclasses' matter."""

    def __init__(self, services: Sequence[Service], python: str) -> None:
        self.running: list[Running] = []
        self.moments: dict[str, float] = {}
        """When what happened, by the monotonic clock. ``lost`` is when it began."""
        self._python = python
        self._services = list(services)

    def __enter__(self: Self) -> Self:
        try:
            self._set_up()
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
        self._take_down()

    def _set_up(self) -> None:
        """All that the services need."""

    def _take_down(self) -> None:
        """All of it, or as much as is there."""

    def _address_of(self, service: Service) -> str:
        raise NotImplementedError

    def _env(self) -> Mapping[str, str]:
        # Disconnected, bare Ray's next task would connect to any Ray of this machine, natively and
        # of its own accord, or start one (docs/ray-internals.md, "auto"): not what is shown here.
        return {"RAY_ENABLE_AUTO_CONNECT": "0"}

    def _place_of(self, service: Service) -> Sequence[str]:
        """Runs a program where this service is to be."""
        return ()

    def _start(self, services: list[Service]) -> None:
        started = [
            service.start(
                self._address_of(service), self._env(), self._python, self._place_of(service)
            )
            for service in services
        ]
        self.running += started
        for running in started:
            running.wait_until_up()

    # -- what can happen

    def happens(self, name: str, what: Callable[[], object] = lambda: None) -> None:
        """Do it, and note when it began."""
        self.moments[name] = time.monotonic()
        what()

    def until(self, seconds: float, since: str = "lost") -> None:
        """Let time pass until ``seconds`` after a moment."""
        time.sleep(max(0.0, self.moments[since] + seconds - time.monotonic()))

    def all_is_back(self) -> None:
        """Note it for both kinds of connections."""
        self.moments["back native"] = self.moments["back client"] = time.monotonic()

    def note_answer(self, name: str, host: str, port: int) -> None:
        """Wait until a port accepts, and note when it did."""
        while not accepts(host, port):
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
