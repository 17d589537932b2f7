"""Ports that nobody else is going to take."""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass
from pathlib import Path

# Ray workers listen on ports that the kernel chooses, the Ray Client servers of other people's
# heads on 23000-23999: those of ours are below, single ports above.
_BLOCKS = range(16_000, 23_000, 100)
_LOW = 24_000
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_claims: list[socket.socket] = []


def free_ports(count: int) -> list[int]:
    """``count`` distinct TCP ports that are free now.

    They lie below the range from which the kernel serves ``bind(0)`` and outgoing connections: a
    port of that range is soon someone else's, and a head that restarts on it would find it taken.
    As long as this process lives, none is given a second time, to any process of the machine: test
    runs side by side stay out of each other's way.
    """
    ports: list[int] = []
    candidates = random.sample(range(_LOW, _ephemeral_low()), k=2_000)
    for port in candidates:
        if _is_free(port) and (claim := _claim(f"port-{port}")):
            _claims.append(claim)
            ports.append(port)
        if len(ports) == count:
            return ports
    raise OSError(f"found only {len(ports)} of {count} free ports")


@dataclass(frozen=True)
class PortBlock:
    """Ports in a row that ``claim_block`` gives to nobody else until they are given back."""

    first: int
    last: int
    claim: socket.socket

    def release(self) -> None:
        """Give them back. Twice is fine."""
        self.claim.close()


def claim_block() -> PortBlock:
    """A hundred ports in a row for the Ray Client servers of one head."""
    for first in random.sample(_BLOCKS, k=len(_BLOCKS)):
        if claim := _claim(f"block-{first}"):
            return PortBlock(first, first + _BLOCKS.step - 1, claim)
    raise OSError(f"all {len(_BLOCKS)} blocks of ports are in use")


def accepts(host: str, port: int, timeout_s: float = 0.5) -> bool:
    """Whether a TCP connection to ``host:port`` is accepted."""
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except OSError:
        return False
    return True


def _ephemeral_low() -> int:
    try:
        low = int(_EPHEMERAL_RANGE.read_text().split()[0])
    except OSError:
        low = 32_768
    return low if low > _LOW + 2_000 else 32_768


def _claim(name: str) -> socket.socket | None:
    # An abstract Unix socket: leaves no file, and the kernel drops it however its process ends.
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0seedcore-ray-{name}")
    except OSError:
        claim.close()
        return None
    return claim


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
