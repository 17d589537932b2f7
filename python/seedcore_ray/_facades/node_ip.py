"""The address under which others can reach this node."""

from __future__ import annotations

import os
import sys

from seedcore_ray import _core

# Nothing is sent there: connecting a UDP socket only picks the interface. For documentation, RFC
# 5737 and 3849. IPv4 first, as Ray prefers it.
_ANYWHERE = ("192.0.2.1", "2001:db8::1")
_PORT = 9


def get_ray_node_ip() -> str:
    """The first of these that is not a loopback address.

    Ray's own node IP (when connected natively), the host of ``RAY_ADDRESS``, the address of the
    host name, the primary network interface.

    Returns:
        An IP address, or ``"unknown"``. Names are looked up for at most 0.4 s each; nothing is
        sent to any of these hosts.
    """
    for source in (_of_ray, _of_ray_address, _of_host_name, _of_interface):
        try:
            address = source()
        except Exception:
            continue
        if address and not _is_loopback(address):
            return address
    return "unknown"


def _of_ray() -> str | None:
    worker = getattr(sys.modules.get("ray._private.worker"), "global_worker", None)
    return getattr(getattr(worker, "node", None), "node_ip_address", None)


def _of_ray_address() -> str | None:
    return _core.resolve_host(os.environ.get("RAY_ADDRESS", ""))


def _of_host_name() -> str | None:
    from socket import gethostname

    return _core.resolve_host(gethostname())


def _of_interface() -> str | None:
    from socket import AF_INET, AF_INET6, SOCK_DGRAM, socket

    for family, anywhere in zip((AF_INET, AF_INET6), _ANYWHERE, strict=True):
        try:
            with socket(family, SOCK_DGRAM) as probe:
                probe.connect((anywhere, _PORT))
                return str(probe.getsockname()[0])
        except OSError:
            continue  # no route: a pod may have one family only
    return None


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address in ("::1", "0.0.0.0", "::")
