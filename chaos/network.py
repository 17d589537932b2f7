"""A network for one scenario alone, where we are root.

Ray's proxies all take their clients' ports from 23000 up, and see too late that another head of the
machine has just taken the same one: then a client's calls go to a stranger's server.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct

_IS_POSSIBLE = os.geteuid() == 0 and shutil.which("unshare") is not None
PREFIX = ("unshare", "--net", "--") if _IS_POSSIBLE else ()
"""Runs a program there."""

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def up() -> None:
    """Bring its loopback interface up, where it is down: it is our own then."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack_from("16xH", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[0]
        if not flags & _IFF_UP:
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))
