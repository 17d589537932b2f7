"""The ``seedcore-ray`` that users run, in a process of its own, in a pipe or on a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support import Program, ProgramResult, clean_env
from tests.support.secrets import look_through

SCRIPT = str(Path(sys.executable).with_name("seedcore-ray"))

# The program becomes the script: its process id, its pipes and its clean environment stay.
_BECOME = "import os, sys; os.execv(sys.argv[1], sys.argv[1:])"


def start(*args: str, env: Mapping[str, str] | None = None, **options: Any) -> Program:
    """A command that runs; options as for ``Program``."""
    return Program(_BECOME, SCRIPT, *args, env=env, **options)


def cli(*args: str, env: Mapping[str, str] | None = None, **options: Any) -> ProgramResult:
    """Run a command to its end."""
    with start(*args, env=env, **options) as program:
        return program.finish(deadline_s=30)


def cli_json(*args: str, env: Mapping[str, str] | None = None, **options: Any) -> dict[str, Any]:
    """The document that a command prints with ``--json``; its head is checked."""
    done = cli(*args, "--json", env=env, **options)
    assert done.stdout, done.told()
    document: dict[str, Any] = json.loads(done.stdout)
    assert (document["schema"], document["command"]) == (1, args[0])
    assert document["exit_code"] == done.rc, done.told()
    assert document["ok"] is (done.rc == 0)
    return document


def on_terminal(
    *args: str,
    env: Mapping[str, str] | None = None,
    columns: int = 100,
    cwd: Path | None = None,
    heard: Callable[[str], object] = lambda text: None,
) -> tuple[int, str]:
    """Exit code and all output of a command that has a terminal of this width.

    ``heard`` is called with all output so far, each time there is more.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with tempfile.TemporaryDirectory(prefix="srt-", dir="/tmp") as home:
        process = subprocess.Popen(
            [SCRIPT, *args],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=clean_env(Path(home), {"TERM": "xterm-256color", **(env or {})}),
            start_new_session=True,
            cwd=cwd,
        )
        os.close(theirs)
        told = b""
        # Linux ends a terminal that nobody holds with an error instead of an end of file.
        with contextlib.suppress(OSError):
            while chunk := os.read(ours, 65_536):
                told += chunk
                heard(told.decode(errors="replace"))
        os.close(ours)
        code = process.wait(timeout=30)
    text = told.decode()
    look_through(text, " ".join(args))
    return code, text


def hops(candidate: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Verdict and detail of each hop, by name."""
    return {hop["name"]: (hop["verdict"], hop["detail"]) for hop in candidate["hops"]}


def verdicts(candidate: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """The verdicts on these hops."""
    told = hops(candidate)
    return [told[name][0] for name in names]
