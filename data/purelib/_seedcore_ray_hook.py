"""Makes ``seedcore.utils.ray_utils`` and ``seedcore.utils.ray_connector`` those of seedcore-ray.

``seedcore_ray_hook.pth`` beside this file imports it at every interpreter start of the environment,
Ray's workers included. Where ``.pth`` files do not run (``python -S``, ``pip install --target``,
zipapps, frozen programs) ``import _seedcore_ray_hook`` as a program's first line does the same.

It puts two finders on ``sys.meta_path``: ``FacadeFinder`` first, ``StandInFinder`` last. Everything
but the two names and missing parent packages stays with the host package.

Every interpreter start pays for this file, so it imports only ``sys`` until one of its names is
imported. It may outlive the rest of the distribution (half an uninstall), so it needs nothing of
it, and serves nothing once the facades are gone. The ``.pth`` line catches its failures, so that a
start never breaks; an import by hand raises them.

If the host has already imported one of the two modules, that module stays, as others hold its
functions. An import by hand that comes too late warns; ``importlib.reload(module)`` replaces it.

PYTEST_DONT_REWRITE: pytest would warn that it was imported before.
"""

import sys

TYPE_CHECKING = False  # typing's own is an import too many
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    Path = Sequence[str] | None
    Target = ModuleType | None
    Spec = ModuleSpec | None

FACADES = ("seedcore.utils.ray_utils", "seedcore.utils.ray_connector")
STAND_INS = ("seedcore", "seedcore.utils")
SWITCH = "SEEDCORE_RAY_IMPORT_HOOK"


class FacadeFinder:
    """Serves exactly the two facades, from ``seedcore_ray/_facades/``; first on ``sys.meta_path``.

    ``SEEDCORE_RAY_IMPORT_HOOK=0`` switches it off, read anew at each import of the two.
    """

    def find_spec(self, fullname: str, path: "Path" = None, target: "Target" = None) -> "Spec":
        """The facade called ``fullname``; None for any other name."""
        finders = sys.meta_path
        if finders and finders[0] is not self:
            self._step_forward()
        if fullname not in FACADES or switched_off():
            return None
        # Under its own name, as zipimport does: importlib.machinery would load `warnings` for it.
        from _frozen_importlib_external import PathFinder

        # The `seedcore_ray` that an import would take: installed, editable or on the path.
        package = _ask(sys.meta_path, "seedcore_ray", None, None)
        if package is None:
            return None
        folders = [f"{folder}/_facades" for folder in package.submodule_search_locations or ()]
        # It looks for the last part of the name only, and the spec keeps the whole.
        spec = PathFinder.find_spec(fullname, folders, target)
        return spec if spec is not None and spec.has_location else None

    def _step_forward(self) -> None:
        """Move to the front again, before finders that would serve the host's old modules.

        pytest's assertion rewriting does that for a host that is a pytest plugin, typeguard's hook
        for a host that is checked. One slice is replaced by the same finders, rotated by one: an
        import that is iterating over the list now, on any thread, misses none of them.
        """
        finders = list(sys.meta_path)
        place = _place(self, finders)
        if place > 0:
            sys.meta_path[: place + 1] = [self, *finders[:place]]


class StandInFinder:
    """Makes up the facades' parent packages where there are none; last on ``sys.meta_path``."""

    def find_spec(self, fullname: str, path: "Path" = None, target: "Target" = None) -> "Spec":
        """An empty package, unless a later finder knows the real one.

        It is kept: a host that comes onto ``sys.path`` after this import is not seen.
        """
        if fullname not in STAND_INS:
            return None
        # Editable installs append their finders too, some of them after this one.
        finders = list(sys.meta_path)
        spec = _ask(finders[_place(self, finders) + 1 :], fullname, path, target)
        if spec is not None:
            return spec
        from _frozen_importlib import ModuleSpec

        return ModuleSpec(fullname, None, origin="made up by seedcore-ray", is_package=True)


def _place(finder: object, finders: "Sequence[object]") -> int:
    """The index of ``finder``, -1 if it is not there; the ``==`` of other finders may raise."""
    places = [place for place, other in enumerate(finders) if other is finder]
    return places[0] if places else -1


def _ask(finders: "Iterable[object]", fullname: str, path: "Path", target: "Target") -> "Spec":
    """The spec of the first of ``finders`` that knows ``fullname``, as the import system asks."""
    for finder in finders:
        find_spec = getattr(finder, "find_spec", None)
        spec: Spec = find_spec and find_spec(fullname, path, target)
        if spec is not None:
            return spec
    return None


def switched_off() -> bool:
    """Whether the environment switches the facades off."""
    from os import environ

    return environ.get(SWITCH, "").strip() == "0"


def install() -> bool:
    """Install both finders, once per interpreter; False when they were there already.

    They are recognised by name: this file may run again (a reload, a copy in a second folder).
    """
    present = {type(finder).__qualname__ for finder in sys.meta_path if _is_ours(finder)}
    if StandInFinder.__qualname__ not in present:
        sys.meta_path.append(StandInFinder())
    if FacadeFinder.__qualname__ in present:
        return False
    sys.meta_path.insert(0, FacadeFinder())
    return True


def _is_ours(finder: object) -> bool:
    return type(finder).__module__ == __name__


def warn_if_late() -> None:
    """Warn of a module of the two that has been imported already."""
    for name in FACADES:
        if name in sys.modules:
            from warnings import warn

            origin = getattr(sys.modules[name], "__file__", None)
            warn(
                f"{name} was imported from {origin} before _seedcore_ray_hook and stays as it is:"
                " import _seedcore_ray_hook first, or importlib.reload() that module",
                RuntimeWarning,
                stacklevel=2,
            )


if install():
    warn_if_late()
