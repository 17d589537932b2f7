"""The process tree below a pid: no psutil needed, no name matched machine-wide.

Read from ``/proc``; where there is none, from ``ps``, which every Unix has.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

# Whether `ps` is asked. A test may set it.
PORTABLE = not Path("/proc/self/stat").exists()
_INIT = 1


@dataclass(frozen=True)
class Process:
    """A live process as the kernel shows it."""

    pid: int
    parent: int
    state: str
    name: str
    command: str

    @property
    def is_zombie(self) -> bool:
        """Dead, waiting for its parent to notice."""
        return self.state in "ZX"


def descendants(pid: int, *, zombies: bool = False) -> list[Process]:
    """Every process below ``pid``, parents before children."""
    children: dict[int, list[Process]] = {}
    for process in _all_processes():
        children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    ahead = [pid]
    while ahead:
        for child in children.get(ahead.pop(0), []):
            ahead.append(child.pid)
            if zombies or not child.is_zombie:
                found.append(child)
    return found


def kill_descendants(pid: int, deadline_s: float) -> None:
    """SIGKILL everything below ``pid``, our own, until nothing is left.

    Repeatedly, since a child may fork meanwhile. Zombies count: one whose other threads are still
    exiting holds its ports.
    """
    give_up = time.monotonic() + deadline_s
    while alive := descendants(pid, zombies=True):
        for process in alive:
            send_signal(process.pid, signal.SIGKILL)
        reap_children()
        if time.monotonic() > give_up:
            names = ", ".join(f"{process.pid} {process.name}" for process in alive)
            raise TimeoutError(f"still alive {deadline_s:g} s after SIGKILL: {names}")
        time.sleep(0.02)


def send_signal(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that is already gone is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def is_alive(pid: int) -> bool:
    """Whether ``pid`` runs (a zombie does not)."""
    process = _read(pid)
    return process is not None and not process.is_zombie


def exists(pid: int) -> bool:
    """Whether ``pid`` is known to the kernel. A zombie is, and may still hold sockets."""
    return _read(pid) is not None


def reap_children() -> None:
    """Collect every child of this process that has ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _all_processes() -> list[Process]:
    if PORTABLE:
        return _ask_ps("-ax")
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [process for pid in pids if (process := _read_proc(pid)) is not None]


def _read(pid: int) -> Process | None:
    if PORTABLE:
        return next(iter(_ask_ps("-p", str(pid))), None)
    return _read_proc(pid)


def _ask_ps(*which: str) -> list[Process]:
    # ww: not cut to the width of a terminal. It fails when there is no such process.
    command = ["ps", *which, "-ww", "-o", "pid=,ppid=,state=,ucomm=,command="]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as ps:
        assert ps.stdout is not None
        lines = ps.stdout.read().decode(errors="replace").splitlines()
    found = map(_read_ps, lines)
    return [process for process in found if process.pid != ps.pid]


def _read_ps(line: str) -> Process:
    pid, parent, state, name, *command = line.split(maxsplit=4)
    return Process(
        pid=int(pid),
        parent=_heir(int(pid), int(parent)),
        state=state[0],
        name=name,
        command="".join(command).strip(),
    )


def _heir(pid: int, parent: int) -> int:
    """The parent. For an orphan the leader of its session: only Linux has subreapers."""
    if parent == _INIT:
        with contextlib.suppress(OSError):
            leader = os.getsid(pid)
            return parent if leader == pid else leader
    return parent


def _read_proc(pid: int) -> Process | None:
    directory = Path("/proc") / str(pid)
    try:
        stat = (directory / "stat").read_text(errors="replace")
        command = (directory / "cmdline").read_bytes()
    except OSError:
        return None  # it has ended meanwhile
    # The name stands in brackets and may itself hold spaces and brackets.
    head, _, tail = stat.rpartition(")")
    state, parent = tail.split()[:2]
    return Process(
        pid=pid,
        parent=int(parent),
        state=state,
        name=head.partition("(")[2],
        command=command.replace(b"\0", b" ").decode(errors="replace").strip(),
    )
