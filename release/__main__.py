"""``make wheel``: build the wheels and the sdist, check each, try those that run here."""

from __future__ import annotations

import argparse
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from release import build, emulate, smoke
from release.targets import TARGETS, Target, unavailable

_ALL = "all"
# The minor version of glibc 2 in a tag.
_GLIBC = re.compile(r"manylinux_2_([0-9]+)_")


def main() -> int:
    """Build, check, try. 1 where a wheel that was asked for could not be built."""
    options = _options()
    if options.own:
        print(build.own_wheel(options.out))
        return 0
    demanded = list(TARGETS) if _ALL in options.targets else options.targets
    shutil.rmtree(options.out, ignore_errors=True)
    options.out.mkdir(parents=True)
    missing = {}
    for triple in demanded or TARGETS:
        reason = unavailable(TARGETS[triple])
        if reason:
            missing[triple] = reason
            continue
        print(f"building for {triple} ...", flush=True)
        wheel = build.wheel(options.out, TARGETS[triple])
        if not options.unchecked:
            _checked(wheel, TARGETS[triple])
    archive = build.sdist(options.out)
    if not options.unchecked:
        build.from_sdist(archive)
    _summary(options.out, missing)
    built = list(options.out.glob("*.whl"))
    return int(not built or bool(missing and demanded))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="build and check what a release ships")
    parser.add_argument("--out", type=Path, required=True, help="the folder, emptied first")
    parser.add_argument("--own", action="store_true", help="only the wheel that make test tries")
    parser.add_argument("--unchecked", action="store_true", help="only build")
    names = ", ".join((_ALL, *TARGETS))
    asked = f"fail where one of these cannot be built; without, build what is possible: {names}"
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=asked)
    options = parser.parse_args()
    unknown = set(options.targets) - {_ALL, *TARGETS}
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {names}")
    return options


def _checked(wheel: Path, target: Target) -> None:
    """Fail where auditwheel, abi3audit or the smoke test do."""
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB", flush=True)
    _run("abi3audit", "--strict", "--summary", str(wheel))
    if not target.is_linux:
        print(f"{wheel.name}: not tried, this is no macOS")
        return
    _keeps_its_promise(wheel)
    python = _interpreter(target)
    if python:
        smoke.smoke(wheel, python)
        print(f"{wheel.name}: tried with {' '.join(python)}", flush=True)
    else:
        print(f"{wheel.name}: not tried, here is neither an {target.machine} nor {emulate.NEEDED}")


def _interpreter(target: Target) -> list[str] | None:
    """The command of a Python on that machine, emulated or not."""
    if (platform.system(), platform.machine()) == ("Linux", target.machine):
        return [sys.executable]
    return emulate.python(target.machine)


def _keeps_its_promise(wheel: Path) -> None:
    """Fail where it needs a newer glibc than its name says, or a library beside glibc."""
    said = _run("auditwheel", "show", str(wheel))
    needs = _GLIBC.search(" ".join(said.split()).rpartition("platform tag: ")[2])
    promised = _GLIBC.search(wheel.name)
    if not (needs and promised and int(needs[1]) <= int(promised[1])):
        sys.exit(f"{wheel.name} needs more than its name says:\n{said}")


def _run(module: str, *arguments: str) -> str:
    """What it says; where it fails, that is the end."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{module} {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def _summary(folder: Path, missing: dict[str, str]) -> None:
    for made in sorted(folder.iterdir()):
        print(f"{made.stat().st_size:>10}  {made}")
    for triple, reason in missing.items():
        print(f"not built for {triple}: {reason}")


if __name__ == "__main__":
    sys.exit(main())
