"""A peer that lets the preflight pass and never answers ``ray.init``, in either mode."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

from tests.support import GrpcPeer

MODES = ("native", "client")


@contextmanager
def stuck(mode: str) -> Iterator[tuple[GrpcPeer, str]]:
    """The peer, and the address under which ``ray.init`` hangs.

    A native ``ray.init`` takes the port to the machine's own address, where the peer is not, and
    hangs there: it is never the peer that holds it.
    """
    if mode == "client":
        with GrpcPeer.ray_client() as peer:
            yield peer, peer.client_address
    else:
        # The versions of this environment, or the preflight itself would refuse.
        with GrpcPeer.gcs(metadata.version("ray"), platform.python_version()) as peer:
            yield peer, peer.address
