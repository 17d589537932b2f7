"""Tells when Ray Client has trouble with its data channel.

The channel goes through the client proxy to a server process of our own. When that process dies,
the proxy goes on answering, and Ray itself gives up after its grace of 30 s. It begins with
``DataClient._reconnect_channel`` (2.33 to 2.60), on a thread of its own.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def on_trouble(report: Callable[[], None]) -> None:
    """Call ``report`` whenever the data channel of the current Ray Client was interrupted.

    Args:
        report: is called on Ray's thread, and must return at once.
    """
    module = sys.modules.get("ray.util.client")
    worker = getattr(getattr(module, "_default_context", None), "client_worker", None)
    data_client: Any = getattr(worker, "data_client", None)
    reconnect = getattr(data_client, "_reconnect_channel", None)
    if reconnect is None:  # another Ray: the next look finds out
        return

    def report_and_reconnect() -> None:
        report()
        reconnect()

    data_client._reconnect_channel = report_and_reconnect
