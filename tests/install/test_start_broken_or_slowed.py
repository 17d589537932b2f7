"""Failure mode: the hook breaks, delays or litters an interpreter start that has no use for it."""

import shutil
from collections.abc import Callable

import pytest

from .environments import Build, Environment

STARTS = {
    "plain": (),
    "isolated": ("-I",),
    "no environment": ("-E",),
    "no user site": ("-s",),
    "optimised": ("-OO",),
    "import times": ("-X", "importtime"),
    "no frozen modules": ("-X", "frozen_modules=off"),
    "warnings are errors": ("-W", "error"),
    "development mode": ("-X", "dev", "-W", "error"),
}

DAMAGE: dict[str, Callable[[Environment], object]] = {
    "hook gone": lambda e: (e.site / "_seedcore_ray_hook.py").unlink(),
    "hook empty": lambda e: (e.site / "_seedcore_ray_hook.py").write_text(""),
    "hook is no Python": lambda e: (e.site / "_seedcore_ray_hook.py").write_text("def"),
    "hook raises": lambda e: (e.site / "_seedcore_ray_hook.py").write_text("1 / 0"),
    "package gone": lambda e: shutil.rmtree(e.site / "seedcore_ray"),
    "facades gone": lambda e: shutil.rmtree(e.site / "seedcore_ray/_facades"),
    "one facade gone": lambda e: (e.site / "seedcore_ray/_facades/ray_utils.py").unlink(),
    "meta_path is a tuple": lambda e: (e.site / "a.pth").write_text(
        "import sys; sys.meta_path = tuple(sys.meta_path)"
    ),
}


@pytest.mark.parametrize("flags", STARTS.values(), ids=STARTS.keys())
def test_start_adds_one_module_and_no_output(
    fresh: Build, ours: Environment, flags: tuple[str, ...]
) -> None:
    loaded = "import json, sys; print(json.dumps(sorted(sys.modules)))"
    empty = fresh()
    # Any .pth file makes Python 3.13 load a codec.
    (empty.site / "other.pth").write_text("# nothing\n")
    with_us, without = ours.says(loaded, *flags), empty.says(loaded, *flags)
    assert set(with_us) - set(without) == {"_seedcore_ray_hook"}
    if "importtime" not in flags:
        assert not ours.run(*flags, "-c", "").stderr


def test_start_without_a_thread_and_the_two_finders_once(ours: Environment) -> None:
    code = """
import json, sys, site, importlib
import _seedcore_ray_hook
site.main()                                  # a second look at every .pth
importlib.reload(_seedcore_ray_hook)
del sys.modules["_seedcore_ray_hook"]
import _seedcore_ray_hook
names = [type(finder).__name__ for finder in sys.meta_path]
import threading
print(json.dumps([names, threading.active_count()]))
"""
    names, threads = ours.says(code)
    assert names.count("FacadeFinder") == names.count("StandInFinder") == 1
    assert (names[0], names[-1]) == ("FacadeFinder", "StandInFinder")
    assert threads == 1


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_broken_install_starts_in_silence(
    fresh: Build, damage: Callable[[Environment], object]
) -> None:
    environment = fresh("ours")
    damage(environment)
    done = environment.run("-c", "import json, email.message; print('up')")
    assert (done.stdout, done.stderr) == ("up\n", "")


@pytest.mark.parametrize("gone", ["hook gone", "package gone", "facades gone"])
def test_half_uninstalled_leaves_the_host_its_modules(fresh: Build, gone: str) -> None:
    environment = fresh("ours", "host")
    DAMAGE[gone](environment)
    owner = "import json, seedcore.utils.ray_utils as m; print(json.dumps(m.OWNER))"
    assert environment.says(owner) == "host"


def test_strange_finders_are_no_trouble(fresh: Build) -> None:
    environment = fresh("ours")
    (environment.site / "strange.py").write_text("""
import sys

class Incomparable:
    __hash__ = None
    def __eq__(self, other): raise TypeError
    def find_spec(self, name, path=None, target=None): return None

class Old:                      # no find_spec, as before Python 3.4
    def find_module(self, name, path=None): return None

sys.meta_path[:0] = [Incomparable()]
sys.meta_path += [Incomparable(), Old()]
""")
    for pth in ("a.pth", "z.pth"):
        (environment.site / pth).write_text(
            "import sys; sys.modules.pop('strange', 0); import strange"
        )
    file = "import json, seedcore.utils.ray_utils as m; print(json.dumps(m.__file__))"
    assert "_facades" in environment.says(file)


def test_read_only_installation(fresh: Build) -> None:
    environment = fresh("ours")
    for cache in environment.site.rglob("__pycache__"):
        shutil.rmtree(cache)
    for folder in [environment.site, *environment.site.rglob("*")]:
        folder.chmod(0o555 if folder.is_dir() else 0o444)
    try:
        done = environment.run(
            "-c", "import seedcore.utils.ray_utils", variables={"PYTHONDONTWRITEBYTECODE": ""}
        )
        assert not done.stderr
    finally:
        for folder in [environment.site, *environment.site.rglob("*")]:
            folder.chmod(0o755)
