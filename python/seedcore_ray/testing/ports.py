"""Ports that nobody else is going to take."""

from __future__ import annotations

import random
import socket
from pathlib import Path

# Ray Client servers are forked on 23000-23999, Ray workers on ports the kernel chooses.
_LOW = 24_000
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """``count`` distinct TCP ports that are free now.

    They lie below the range from which the kernel serves ``bind(0)`` and outgoing connections: a
    port of that range is soon someone else's, and a head that restarts on it would find it taken.
    """
    ports: list[int] = []
    candidates = random.sample(range(_LOW, _ephemeral_low()), k=2_000)
    for port in candidates:
        if _is_free(port):
            ports.append(port)
        if len(ports) == count:
            return ports
    raise OSError(f"found only {len(ports)} of {count} free ports")


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


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
