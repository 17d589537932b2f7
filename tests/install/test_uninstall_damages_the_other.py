"""Failure mode: `pip uninstall` of one takes files of the other, or the wheel ships the host's."""

import zipfile
from pathlib import Path

import pytest

from .environments import LEAVES, Build, Environment

OWNERS = """
import importlib, json
print(json.dumps([
    getattr(importlib.import_module(f"seedcore.utils.{leaf}"), "OWNER", "ours")
    for leaf in ("ray_utils", "ray_connector")
]))
"""


def files(environment: Environment) -> set[str]:
    """All installed files but compiled ones."""
    found = environment.site.rglob("*")
    return {str(f.relative_to(environment.site)) for f in found if f.suffix != ".pyc"} - {
        "__pycache__"
    }


def test_wheel_holds_no_seedcore_directory(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    # What pip puts into site-packages: the .data folder is unpacked there.
    installed = [name.partition(".data/purelib/")[2] or name for name in names]
    tops = {name.split("/")[0] for name in installed}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "seedcore_ray",
        "_seedcore_ray_hook.py",
        "seedcore_ray_hook.pth",
        # For type checkers; a name with a hyphen cannot be imported.
        "seedcore-stubs",
    }
    for leaf in LEAVES:
        assert f"seedcore_ray/_facades/{leaf}.py" in names


ORDERS = [("ours", "host"), ("host", "ours")]


@pytest.mark.parametrize("order", ORDERS, ids=" then ".join)
def test_uninstall_of_ours_gives_the_host_its_modules_back(
    build: Build, fresh: Build, order: tuple[str, ...]
) -> None:
    environment = fresh(*order)
    assert environment.says(OWNERS) == ["ours", "ours"]
    environment.pip("uninstall", "--yes", "seedcore-ray")
    assert files(environment) == files(build("host"))
    assert environment.says(OWNERS) == ["host", "host"]


@pytest.mark.parametrize("order", ORDERS, ids=" then ".join)
def test_uninstall_of_the_host_leaves_ours_whole(
    build: Build, fresh: Build, order: tuple[str, ...]
) -> None:
    environment = fresh(*order)
    environment.pip("uninstall", "--yes", "seedcore")
    assert files(environment) == files(build("ours"))
    assert environment.says(OWNERS) == ["ours", "ours"]


def test_reinstall_of_either_changes_nothing(fresh: Build, wheel: Path) -> None:
    environment = fresh("ours", "host")
    before = files(environment)
    environment.install("--force-reinstall", wheel)
    assert files(environment) == before
    assert environment.says(OWNERS) == ["ours", "ours"]
