"""The files to read: Python and notebooks that git does not ignore; what is named always counts."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from seedcore_ray.migrate import _gitignore

_SUFFIXES = (".py", ".ipynb")
# Other people's code, and what is made from our own; also where nobody ignores it.
_SKIPPED = {
    "__pycache__",
    "__pypackages__",
    "build",
    "dist",
    "node_modules",
    "site-packages",
    "venv",
}


def files(paths: Sequence[str]) -> Iterator[Path]:
    """The files below these paths, each once, in the order of their names.

    Raises:
        FileNotFoundError: for a path that does not exist.
    """
    seen: set[Path] = set()
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
        for file in sorted(_below(path)) if path.is_dir() else [path]:
            # One path cannot lead to the same file twice: links in it are not followed.
            if len(paths) > 1 and (real := file.resolve()) in seen:
                continue
            if len(paths) > 1:
                seen.add(real)
            yield file


def _below(folder: Path) -> list[Path]:
    listed = _tracked_or_new(folder)
    if listed is None:
        return list(_walked(folder, "", []))
    return [path for name in listed if _counts(name) and _is_regular(path := folder / name)]


def _is_regular(path: Path) -> bool:
    """Whether it is a file and no link; git also lists those that are deleted."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _tracked_or_new(folder: Path) -> set[str] | None:
    """What git knows or would add; None where there is no git, or no work tree."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]
    globs = [f"*{suffix}" for suffix in _SUFFIXES]
    # A hook's GIT_DIR names the repository of the hook, which need not be the one of the folder.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run([*command, *globs], cwd=folder, env=env, capture_output=True)
    except OSError:
        return None
    names = os.fsdecode(done.stdout).split("\0")
    return {name for name in names if name} if done.returncode == 0 else None


def _counts(name: str) -> bool:
    *folders, last = name.split("/")
    return last.endswith(_SUFFIXES) and not any(map(_is_skipped, folders))


def _is_skipped(folder: str) -> bool:
    return folder in _SKIPPED or folder.startswith(".")


def _walked(root: Path, below: str, rules: list[_gitignore.Rules]) -> Iterator[Path]:
    """The files of a folder that is in no work tree; ``below`` is its path under the root."""
    try:
        entries = list(os.scandir(root / below))
    except OSError:
        return
    names = {entry.name for entry in entries}
    if "pyvenv.cfg" in names and below:
        return
    if ".gitignore" in names:
        text = (root / below / ".gitignore").read_text(encoding="utf-8", errors="replace")
        rules = [*rules, _gitignore.read(below, text)]
    for entry in entries:
        path, is_folder = below + entry.name, entry.is_dir(follow_symlinks=False)
        if entry.is_symlink() or _gitignore.is_ignored(path, is_folder, rules):
            continue
        if is_folder and not _is_skipped(entry.name):
            yield from _walked(root, path + "/", rules)
        elif entry.name.endswith(_SUFFIXES) and entry.is_file():
            yield root / path


def write(path: Path, data: bytes) -> None:
    """Replace a file in one step; its mode stays, and a link to it stays a link.

    Raises:
        OSError: when it cannot be written; it is as it was then.
    """
    real = path.resolve()
    temporary = real.with_name(f"{real.name}.seedcore-ray-{os.getpid()}")
    # "x": never over a file that is there.
    with temporary.open("xb") as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(stat.S_IMODE(real.stat().st_mode))
            temporary.replace(real)
        except BaseException:
            temporary.unlink()
            raise
