"""Failure mode: the hook is not in force, and `which` does not say why or the way out fails."""

import shutil
from pathlib import Path

import pytest

from .environments import Build, Environment

FILES = """
import json
import seedcore.utils.ray_utils as a, seedcore.utils.ray_connector as b
print(json.dumps([a.__file__, b.__file__]))
"""
BY_HAND = "import _seedcore_ray_hook\n"
ALL_OURS = ["ray_utils.py", "ray_connector.py"]


def facades(files: list[str]) -> list[str]:
    """Which of `files` are our facades."""
    return [Path(file).name for file in files if Path(file).parent.name == "_facades"]


@pytest.fixture
def target(ours: Environment, tmp_path: Path, wheel: Path) -> dict[str, str]:
    """Variables for an environment that finds ours as `pip install --target` leaves it."""
    folder = tmp_path / "target"
    shutil.copytree(ours.site, folder)
    return {"PYTHONPATH": str(folder)}


def test_pip_target_folder(build: Build, target: dict[str, str]) -> None:
    code, text = build().which(variables=target)
    assert code == 1
    assert "seedcore_ray_hook.pth did not run" in text
    assert "`import _seedcore_ray_hook`" in text
    assert facades(build().says(BY_HAND + FILES, variables=target)) == ALL_OURS


def test_no_site(build: Build, target: dict[str, str]) -> None:
    code, text = build().which("-S", variables=target)
    assert code == 1
    assert "started with -S" in text
    assert facades(build().says(BY_HAND + FILES, "-S", variables=target)) == ALL_OURS


def test_no_site_in_spawned_children_too(
    build: Build, target: dict[str, str], tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text("""
import _seedcore_ray_hook
import json, multiprocessing

def child(_):
    import seedcore.utils.ray_utils as m
    return m.__file__

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(json.dumps(pool.map(child, [0])))
""")
    done = build().run("-S", program, variables=target)
    assert "_facades" in done.stdout


def test_switched_off(build: Build) -> None:
    environment = build("ours", "host")
    off = {"SEEDCORE_RAY_IMPORT_HOOK": "0"}
    assert facades(environment.says(FILES, variables=off)) == []
    code, text = environment.which(variables=off)
    assert code == 1
    assert "SEEDCORE_RAY_IMPORT_HOOK=0" in text
    assert "unset it" in text
    assert str(environment.site / "seedcore/utils/ray_utils.py") in text


@pytest.mark.parametrize("value", ["1", "", "true"])
def test_other_values_do_not_switch_off(build: Build, value: str) -> None:
    on = {"SEEDCORE_RAY_IMPORT_HOOK": value}
    assert facades(build("ours", "host").says(FILES, variables=on)) == ALL_OURS


def test_switched_off_without_a_host_is_an_import_error(ours: Environment) -> None:
    off = {"SEEDCORE_RAY_IMPORT_HOOK": "0"}
    done = ours.run("-c", "import seedcore.utils.ray_utils", variables=off, check=False)
    assert "ModuleNotFoundError" in done.stderr
    code, text = ours.which(variables=off)
    assert code == 1
    assert "nobody" in text


DAMAGE = {
    "_seedcore_ray_hook.py": "is not installed",
    "seedcore_ray_hook.pth": "seedcore_ray_hook.pth did not run",
    "seedcore_ray/_facades/ray_utils.py": "_facades/ray_utils.py is missing",
}


@pytest.mark.parametrize(("file", "sentence"), DAMAGE.items())
def test_file_missing(fresh: Build, file: str, sentence: str) -> None:
    environment = fresh("ours", "host")
    (environment.site / file).unlink()
    code, text = environment.which()
    assert code == 1
    assert sentence in text
    assert str(environment.site / "seedcore/utils/ray_utils.py") in text


def test_host_module_imported_before(fresh: Build) -> None:
    environment = fresh("ours", "host")
    (environment.site / "a_first.pth").write_text("import seedcore.utils.ray_connector\n")
    assert "before _seedcore_ray_hook and stays as it is" in environment.run("-c", "").stderr
    code, text = environment.which("-W", "ignore")
    assert code == 1
    assert "seedcore.utils.ray_connector was imported before the import hook" in text


def test_another_hook_in_front(fresh: Build) -> None:
    environment = fresh("ours", "host")
    (environment.site / "sitecustomize.py").write_text("""
import sys
from importlib.machinery import PathFinder

class Jealous(list):
    def __iter__(self):
        return iter([PathFinder, *super().__iter__()])

sys.meta_path = Jealous(sys.meta_path)
""")
    code, text = environment.which()
    assert code == 1
    assert "another import hook answers first" in text


def test_which_runs_no_line_of_the_host(fresh: Build) -> None:
    environment = fresh("ours", "host")
    for file in ("seedcore/__init__.py", "seedcore/utils/__init__.py"):
        (environment.site / file).write_text("raise SystemExit('the host ran')\n")
    code, text = environment.which()
    assert code == 0, text


def test_late_import_by_hand_warns_and_reload_takes_over(
    build: Build, target: dict[str, str], host: Path
) -> None:
    code = """
import importlib, json, warnings
import seedcore.utils.ray_utils as module
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import _seedcore_ray_hook
import seedcore.utils.ray_utils as again
import seedcore.utils.ray_connector as other
before = module.__file__
importlib.reload(module)
print(json.dumps([
    [str(w.message) for w in caught], again is module, before, other.__file__, module.__file__,
]))
"""
    paths = {"PYTHONPATH": f"{host}:{target['PYTHONPATH']}"}
    warned, same, before, other, after = build().says(code, variables=paths)
    (message,) = warned
    assert "seedcore.utils.ray_utils was imported from" in message
    assert same
    assert before == str(host / "seedcore/utils/ray_utils.py")
    assert facades([before, other, after]) == ["ray_connector.py", "ray_utils.py"]
