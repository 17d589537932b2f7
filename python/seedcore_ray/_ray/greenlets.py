"""Processes whose threads are greenlets: there ``ray.init`` hangs."""

from __future__ import annotations

import logging
import sys

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from typing import Any

# Where each library tells whether it has replaced the module that starts threads.
_PATCHERS = (
    ("gevent", "gevent.monkey", "is_module_patched", "threading"),
    ("eventlet", "eventlet.patcher", "is_monkey_patched", "thread"),
)


def warn() -> None:
    """Say so where Python's threads are greenlets, before ``ray.init`` hangs without a word.

    Ray and gRPC wait in native code on threads that they start from Python. As greenlets they
    never give way (docs/ray-internals.md, "Gateways and environments"). It is a warning and no
    error, since nobody knows which of the versions to come will manage.
    """
    if library := _patched_by():
        logging.getLogger("seedcore_ray.connect").warning(
            "this process's threads are greenlets (monkey-patched by %s): ray.init hangs, since it "
            "needs real ones. Connect in a process that has them, for instance of Celery's prefork "
            "or threads pool.",
            library,
        )


def _patched_by() -> str | None:
    for library, module, function, what in _PATCHERS:
        # Only what is loaded can have patched anything.
        asked: Any = getattr(sys.modules.get(module), function, None)
        if asked is not None and asked(what):
            return library
    return None
