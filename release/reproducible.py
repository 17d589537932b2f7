"""``make reproducible``: build again somewhere else, and compare with what ``make wheel`` built.

The second build has another folder, no earlier results, another name for cargo's home, another
umask and another time zone. What differs is named file by file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from release import build
from release.targets import of_wheel


def main() -> int:
    """Compare. 1 where a file differs, or there is none."""
    parser = argparse.ArgumentParser(description="does this commit give the same bytes again?")
    parser.add_argument("--first", type=Path, required=True, help="the folder of make wheel")
    first = parser.parse_args().first.resolve()
    wheels = list(first.glob("*.whl"))
    if not wheels:
        print(f"no wheel in {first}: run make wheel first")
        return 1
    with tempfile.TemporaryDirectory(prefix="built-elsewhere-") as folder:
        second = _again(Path(folder), [of_wheel(wheel).triple for wheel in wheels])
        found = list(_differences(first, second))
    print("\n".join(found) or f"{len(wheels)} wheels and the sdist: the same bytes again")
    return int(bool(found))


def _again(folder: Path, triples: list[str]) -> Path:
    """Build in a copy of this tree in `folder`; answer where the results are."""
    copy, home, out = folder / "another/place", folder / "cargo", folder / "out"
    _copy_tree(copy)
    # The same crates, from a folder of another name; downloaded once.
    home.mkdir()
    given = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    for part in given.iterdir():
        (home / part.name).symlink_to(part.absolute())
    variables = {
        "CARGO_HOME": str(home),
        "CARGO_TARGET_DIR": str(folder / "target"),
        "SOURCE_DATE_EPOCH": build.commit_time(),
        "TZ": "Asia/Kathmandu",
    }
    subprocess.run(
        [sys.executable, "-m", "release", "--unchecked", "--out", out, *triples],
        cwd=copy,
        env=os.environ | variables,
        umask=0o077,
        check=True,
    )
    return out


def _copy_tree(copy: Path) -> None:
    """What git knows and what is new, as it is in the work tree."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=build.ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        source = build.ROOT / name
        if source.exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy / name)


def _differences(first: Path, second: Path) -> Iterator[str]:
    """A line for each archive and each file in it that is not the same in both folders."""
    names = {file.name for folder in (first, second) for file in folder.iterdir()}
    for name in sorted(names):
        one, other = first / name, second / name
        if not (one.exists() and other.exists()):
            yield f"{name}: only one build made it"
        elif one.read_bytes() != other.read_bytes():
            yield f"{name}: not the same bytes"
            this, that = _contents(one), _contents(other)
            for inner in sorted(this.keys() | that.keys()):
                if this.get(inner) != that.get(inner):
                    yield f"    {inner}"


def _contents(archive: Path) -> dict[str, object]:
    """What is in a wheel or an sdist, by name, with all that the archive says of a file."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            files = wheel.infolist()
            return {one.filename: (one.date_time, one.external_attr, one.CRC) for one in files}
    with tarfile.open(archive) as sdist:
        return {
            one.name: (one.mtime, one.mode, one.uid, one.gid, one.size)
            for one in sdist.getmembers()
        }


if __name__ == "__main__":
    sys.exit(main())
