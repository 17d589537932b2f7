"""Addresses of the form ``module://anything``, which Ray hands to ``module.ClientBuilder``.

Ray's rule is in ``ray.client_builder``: it imports what stands before ``://`` and looks for the
name ``ClientBuilder`` in it (docs/ray-internals.md, "Gateways and environments").
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from typing import Any


def may_have_builder(module: str) -> bool:
    """Whether Ray may find a client for the scheme ``module``.

    Imports nothing: a typo is to be told in microseconds, and a caller that may be on an event loop
    must not wait for somebody's import. For a module that is not imported yet, the answer is that
    it is there; whether it has a builder is found out by Ray, on the thread of the connect.
    """
    if (imported := sys.modules.get(module)) is not None:
        return "ClientBuilder" in dir(imported)
    top = module.partition(".")[0]
    if top in sys.modules:
        return top != module
    if top in sys.stdlib_module_names:
        return False
    # Not by importlib.util, whose import takes longer than all the rest.
    return any(_finds(finder, top) for finder in sys.meta_path)


def _finds(finder: Any, module: str) -> bool:
    try:
        return finder.find_spec(module, None) is not None
    except Exception:  # somebody's own finder
        return False
