"""Free TCP ports that stay free for their caller."""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass
from pathlib import Path

# Ray workers listen on ports that the kernel chooses, and the Ray Client servers of other heads on
# 23000-23999: the blocks for ours are below, single ports above.
_BLOCKS = range(16_000, 23_000, 100)
_LOW = 24_000
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_claims: list[socket.socket] = []


def free_ports(count: int) -> list[int]:
    """``count`` distinct TCP ports that are free now.

    They lie below the range that the kernel uses for ``bind(0)`` and outgoing connections, where a
    head that restarts would find its port taken. While this process lives, no process of the
    machine gets one of them again, so that test runs side by side do not collide.
    """
    ports: list[int] = []
    candidates = random.sample(range(_LOW, _ephemeral_low()), k=2_000)
    for port in candidates:
        if _is_free(port) and (claim := _claim(port)):
            _claims.append(claim)
            ports.append(port)
        if len(ports) == count:
            return ports
    raise OSError(f"found only {len(ports)} of {count} free ports")


@dataclass(frozen=True)
class PortBlock:
    """Consecutive ports, claimed on this machine until they are released."""

    first: int
    last: int
    claim: socket.socket

    def release(self) -> None:
        """Release them. Twice is fine."""
        self.claim.close()


def claim_block() -> PortBlock:
    """Claim a hundred consecutive ports for the Ray Client servers of one head."""
    for first in random.sample(_BLOCKS, k=len(_BLOCKS)):
        if claim := _claim(first):
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
    """Where that range begins. Elsewhere than on Linux it begins higher than the default here."""
    try:
        low = int(_EPHEMERAL_RANGE.read_text().split()[0])
    except OSError:
        low = 32_768
    return low if low > _LOW + 2_000 else 32_768


def _claim(port: int) -> socket.socket | None:
    # The UDP port of that number, which Ray does not use: leaves no file, and any kernel drops it
    # however its process ends.
    claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        claim.bind(("127.0.0.1", port))
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
