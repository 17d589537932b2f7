"""What pytest must know of us, in any project that runs it beside seedcore-ray.

A host that still has its own ``utils/ray_utils.py`` may have pytest collect that file, for doctests
(``--doctest-modules``). Nothing imports it any more: its name is ours. pytest would stop at "import
file mismatch" or, in importlib mode, run the old file under that name for all tests that follow.
So the superseded files are left out of the collection, for as long as they are superseded. One that
is named on the command line is collected all the same: that is asking for it.
"""

from pathlib import Path

from seedcore_ray import _which

_SUPERSEDED = {(*name.split(".")[:-1], f"{name.rpartition('.')[2]}.py") for name in _which.NAMES}


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out a host's own copy of the two modules; None, pytest's own choice, for the rest."""
    superseded = collection_path.parts[-3:] in _SUPERSEDED and _which.hook_in_force()
    return True if superseded else None
