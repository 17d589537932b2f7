"""Which files are read: those that git does not ignore, in a work tree and without one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from seedcore_ray.migrate._files import files

_TREE = (
    *("a.py", "b.pyi", "n.ipynb", "pkg/c.py", "pkg/deep/d.py", "pkg/deep/gen_x.py"),
    *("ignored.py", "logs/e.py", "pkg/logs/f.py", "only/g.py", "only/keep.py", "x/only/h.py"),
    *("build/i.py", ".venv/lib/j.py", ".hidden/k.py", "node_modules/l.py", "pkg/tmp1.py"),
    *("docs/a/b/m.py", "docs/m.py", "trailing.py", "pkg/venv2/n.py", "odd [name].py", "größer.py"),
)
_IGNORE = r"""
# comment
ignored.py
logs/
/only/*
!/only/keep.py
gen_*.py
pkg/tmp[0-9].py
docs/**/m.py
odd\ \[*
trailing.py{spaces}
""".replace("{spaces}", "   ")
_IGNORE_BELOW = "!gen_x.py\n/nothing.py\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Files with the two kinds of ``.gitignore``: at the root and below."""
    for name in _TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("import ray\n")
    (tmp_path / "pkg/venv2/pyvenv.cfg").touch()
    (tmp_path / ".gitignore").write_text(_IGNORE)
    (tmp_path / "pkg/deep/.gitignore").write_text(_IGNORE_BELOW)
    (tmp_path / "link.py").symlink_to("a.py")
    return tmp_path


def _names(tree: Path, *paths: str) -> set[str]:
    return {str(path.relative_to(tree)) for path in files([str(tree / name) for name in paths])}


def _git(tree: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=tree, check=True, capture_output=True, text=True)
    return done.stdout


_WANTED = {
    *("a.py", "n.ipynb", "pkg/c.py", "pkg/deep/d.py", "pkg/deep/gen_x.py", "only/keep.py"),
    *("x/only/h.py", "größer.py"),
}


def test_without_a_work_tree(tree: Path) -> None:
    assert _names(tree, ".") == _WANTED


def test_in_a_work_tree(tree: Path) -> None:
    _git(tree, "init", "-q")
    # git knows nothing of virtual environments that are not ignored.
    assert _names(tree, ".") == _WANTED | {"pkg/venv2/n.py"}
    assert _names(tree, "pkg") == {
        "pkg/c.py",
        "pkg/deep/d.py",
        "pkg/deep/gen_x.py",
        "pkg/venv2/n.py",
    }
    # What is tracked counts although it is ignored, and what is deleted does not.
    _git(tree, "add", "-f", "ignored.py", "a.py")
    (tree / "a.py").unlink()
    (tree / "link.py").unlink()
    assert _names(tree, ".") == (_WANTED | {"pkg/venv2/n.py", "ignored.py"}) - {"a.py"}


def test_both_ways_ignore_the_same(tree: Path) -> None:
    _git(tree, "init", "-q")
    others = _git(tree, "ls-files", "-z", "--others", "--exclude-standard", "--", "*.py", "*.ipynb")
    git = {
        name for name in others.split("\0") if name and not name.startswith(("build", ".", "node"))
    }
    assert git - {"pkg/venv2/n.py", "link.py"} == _WANTED


def test_what_is_named_always_counts(tree: Path) -> None:
    named = ("ignored.py", "build/i.py", "b.pyi", ".venv", "logs")
    found = {"ignored.py", "build/i.py", "b.pyi", ".venv/lib/j.py", "logs/e.py"}
    assert _names(tree, *named) == found


def test_each_file_is_read_once(tree: Path) -> None:
    names = [path.name for path in files([str(tree / name) for name in ("a.py", "pkg", ".")])]
    assert len(names) == len(set(names)) and "a.py" in names


def test_a_hooks_environment_is_not_that_of_the_folder(
    tree: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    _git(tree, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(tmp_path_factory.mktemp("other")))
    assert "a.py" in _names(tree, ".")


def test_no_git(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _git(tree, "init", "-q")
    monkeypatch.setenv("PATH", "/nonexistent")
    assert _names(tree, ".") == _WANTED
