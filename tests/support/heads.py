"""One real head at a time, started when a test first asks for its kind."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from seedcore_ray.testing import RayHead
from tests.support.certs import Authority
from tests.support.secrets import secret

HeadKind = Literal["plain", "token", "tls"]

TOKEN = secret("a-token-of-the-test-suite-0123456789", "the head's token")


class Heads:
    """The heads that tests share.

    Only one is up at any time: a second would cost memory, and ``auto`` would find two. Asking for
    another kind stops the one that runs; ``conftest`` orders the tests so that this happens
    seldom.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: tuple[HeadKind, RayHead] | None = None
        self._authority: Authority | None = None

    @property
    def authority(self) -> Authority:
        """Signs the certificate of the TLS head."""
        if self._authority is None:
            self._authority = Authority(self._directory / "authority")
        return self._authority

    def get(self, kind: HeadKind) -> RayHead:
        """The running head of this kind. A test that hurts it calls ``stop`` afterwards."""
        if self._running is not None and self._running[0] == kind:
            return self._running[1]
        self.stop()
        head = self.new(kind).start()
        self._running = (kind, head)
        return head

    def new(self, kind: HeadKind = "plain") -> RayHead:
        """A head of this kind, not started."""
        if kind == "token":
            return RayHead(token=TOKEN)
        if kind == "tls":
            return RayHead(tls=self.authority.issue("head"))
        return RayHead()

    def stop(self) -> None:
        """Stop the one that runs, if any."""
        running, self._running = self._running, None
        if running is not None:
            running[1].stop()
