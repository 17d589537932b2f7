"""Ray's auto-connect: a stray ``.remote()`` must not start a cluster of its own.

Without a connection, Ray calls ``ray.init()`` with no address for any task, actor or ``put``
(docs/ray-internals.md, "When the cluster dies"). It reads ``RAY_ENABLE_AUTO_CONNECT`` when its
module is imported; after that the module's attribute counts. We set the attribute, never the
variable: children of this process would inherit that, and they never heard of us.
"""

from __future__ import annotations

import importlib.util
import os
import sys

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_MODULE = "ray._private.auto_init_hook"


def switch_off() -> None:
    """Switch it off in this process, unless ``RAY_ENABLE_AUTO_CONNECT`` is set: then the service
    has decided. Where ``ray`` is not imported yet, as soon as it is.
    """
    if "RAY_ENABLE_AUTO_CONNECT" in os.environ:
        return
    module = sys.modules.get(_MODULE)
    if module is not None:
        _set(module)
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _set(module: ModuleType) -> None:
    module.enable_auto_connect = False  # type: ignore[attr-defined]


class _Finder:
    """Finds Ray's module as the other finders do, with a loader that sets the attribute."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            # The import system asks for these two methods only, not for a subclass.
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
        return spec


class _Loader:
    """Another loader, and what is to be done after it."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        _set(module)
