"""Forgets what libraries of Ray keep of a connection, before another one is made.

``ray.shutdown()`` leaves their module globals as they are. Serve up to 2.55 keeps the handle of its
controller for ever: after a reconnect each of its functions calls an actor of the dead cluster.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from typing import Any

_NOTHING = object()

# Module and attribute; None is "look it up anew" to the library itself. Serve's own controller,
# where this process is a replica, is not among them.
_KEPT = (("ray.serve.context", "_global_client"),)


def forget() -> None:
    """Let the libraries that are imported look everything up anew.

    Call it while Ray is not connected, right before ``ray.init``. Not at a release: Serve calls
    ``ray.init()`` by itself when it has no client, and that starts a private cluster.
    """
    for name, attribute in _KEPT:
        module: Any = sys.modules.get(name)
        if getattr(module, attribute, _NOTHING) is not _NOTHING:
            setattr(module, attribute, None)
