"""Ray's auto-connect: a stray ``.remote()`` must not start a cluster of its own.

Without a connection, Ray calls ``ray.init()`` with no address for any task, actor or ``put``
(docs/ray-internals.md, "When the cluster dies").
"""

from __future__ import annotations

import os
import sys


def switch_off() -> None:
    """Switch it off, unless ``RAY_ENABLE_AUTO_CONNECT`` is set: then the service has decided.

    The variable is read when ``ray`` is imported; after that its module attribute counts.
    """
    if "RAY_ENABLE_AUTO_CONNECT" in os.environ:
        return
    if "ray" not in sys.modules:
        os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
        return
    hook = sys.modules.get("ray._private.auto_init_hook")
    if hook is not None:
        hook.enable_auto_connect = False  # type: ignore[attr-defined]
