"""The subreaper of one head, run as a script: it ends the head together with its owner.

``python _reaper.py HOW DIRECTORY COMMAND...`` runs ``ray start`` and prints ``started RC``. The
head's processes are daemons whose parent has ended; as their subreaper it inherits them all, and
knows the whole tree without matching names. HOW is ``portable`` where there are no subreapers, or
none is wanted: then it knows them as those of its session, which it leads.

It waits on its standard input: ``stop`` or end of file (its owner died, by whatever signal) kills
the tree and removes the directory, ``keep`` kills the tree only.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

# A script, not an import: the package around it need not be importable (nor built) here.
sys.path.insert(0, str(Path(__file__).parent))
import processes  # type: ignore[import-not-found]

_PR_SET_CHILD_SUBREAPER = 36
_REAP_EVERY_S = 0.2


def main(how: str, directory: Path, command: list[str]) -> None:
    """Run the head until told to end it."""
    processes.PORTABLE = how == "portable"
    if not processes.PORTABLE:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    order = b"stop"
    try:
        with (directory / "head.log").open("ab") as log:
            started = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
            )
        print(f"started {started.returncode}", flush=True)
        order = _wait_for_order()
    finally:
        processes.kill_descendants(os.getpid(), deadline_s=10)
        if order != b"keep":
            shutil.rmtree(directory, ignore_errors=True)


def _wait_for_order() -> bytes:
    while True:
        ready, _, _ = select.select([0], [], [], _REAP_EVERY_S)
        # Ray's killed processes are our children now: collect them, or they stay as zombies.
        processes.reap_children()
        if ready:
            return os.read(0, 16) or b"stop"


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
