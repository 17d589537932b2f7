"""Small Python programs in fresh processes.

A process's connection to Ray is one and lasts, so a scenario gets a process of its own. Programs
speak in lines: ``mark("name")`` for "I am here", ``report(key=value)`` for results. Both functions
are given to them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seedcore_ray.testing.processes import descendants, send_signal
from tests.support import secrets
from tests.support.polling import wait_until

_RESULT = "@result "
_MARK = "@mark "
# One line, so that a traceback's line numbers are off by one only.
_PRELUDE = (
    "import json as _json; "
    # Each line in one piece, whatever other threads print.
    "_say = lambda line: print(line + '\\n', end='', flush=True); "
    f"mark = lambda name: _say({_MARK!r} + name); "
    f"report = lambda **fields: _say({_RESULT!r} + _json.dumps(fields))\n"
)
# Sees only itself, so that `auto` finds no Ray of anybody else on the machine.
_PRIVATE_PIDS = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "--")
_OURS = ("RAY_", "SEEDCORE_", "SERVE_", "KUBERNETES_", "PYTEST_", "COV_")
_OURS_EXACT = {
    *("ML", "COG", "ORG", "POD_NAMESPACE", "HOSTNAME", "PYTHONPATH", "PYTHONSTARTUP"),
    *("COG_BASE_PATH", "ORG_BASE_PATH", "TMPDIR"),
}


def clean_env(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without anything that Ray or we would read.

    ``home`` takes the place of the user's (``~/.ray/auth_token``) and of Ray's ``/tmp`` (the
    address file that ``auto`` reads).
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OURS) and name not in _OURS_EXACT
    }
    private = {"HOME": str(home), "RAY_TMPDIR": str(home), "RAY_USAGE_STATS_ENABLED": "0"}
    return {**kept, **private, **(extra or {})}


@dataclass(frozen=True)
class ProgramResult:
    """How a program ended."""

    rc: int
    stdout: str
    stderr: str
    wall_s: float

    @property
    def fields(self) -> dict[str, Any]:
        """Everything it reported, later reports winning."""
        if merged := _reported(self.stdout.splitlines()):
            return merged
        raise AssertionError(f"the program reported nothing:\n{self.told()}")

    def ok(self) -> ProgramResult:
        """Itself, if the program ended with 0; otherwise an error that shows what it printed."""
        if self.rc != 0:
            raise AssertionError(f"the program failed:\n{self.told()}")
        return self

    def told(self) -> str:
        """All of it, for a failure message."""
        return f"rc {self.rc} after {self.wall_s:.2f} s\n{self.stdout}\n--\n{self.stderr}"


def _reported(lines: Sequence[str]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for line in lines:
        if line.startswith(_RESULT):
            merged.update(json.loads(line.removeprefix(_RESULT)))
    return merged


@dataclass
class _Lines:
    """A stream that is read as it comes."""

    text: list[str] = field(default_factory=list)

    def follow(self, stream: Any) -> threading.Thread:
        reader = threading.Thread(target=self._read, args=(stream,), daemon=True)
        reader.start()
        return reader

    def _read(self, stream: Any) -> None:
        for line in stream:
            self.text.append(line)

    def __str__(self) -> str:
        return "".join(self.text)


class Program:
    """A running program. As a context manager it is killed, with its children, at the end."""

    def __init__(
        self,
        source: str,
        *args: str,
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        private_pids: bool = False,
        python: str = sys.executable,
        flags: Sequence[str] = (),
    ) -> None:
        """``env`` is added to a clean environment; ``prefix`` may be a head's ``enter()``.

        ``private_pids`` needs root. The program is process 1 there, for which a signal without a
        handler means nothing: send none.
        """
        self._private_pids = private_pids
        self._home = tempfile.TemporaryDirectory(prefix="srp-", dir="/tmp")
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            [
                *(_PRIVATE_PIDS if private_pids else prefix),
                *(python, *flags, "-c", _PRELUDE + textwrap.dedent(source), *args),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=clean_env(Path(self._home.name), env),
            cwd=self._home.name,
            start_new_session=True,
        )
        self._stdout, self._stderr = _Lines(), _Lines()
        self._readers = [
            self._stdout.follow(self._process.stdout),
            self._stderr.follow(self._process.stderr),
        ]

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_for_mark(self, name: str, deadline_s: float = 60.0) -> None:
        """Wait until the program called ``mark(name)``."""
        line = f"{_MARK}{name}\n"

        def marked() -> bool:
            if line in self._stdout.text:
                return True
            if self._process.poll() is None:
                return False
            self.finish(deadline_s=5)
            if line in self._stdout.text:
                return True
            raise AssertionError(f"ended before {name!r}\n{self._stdout}\n--\n{self._stderr}")

        wait_until(marked, deadline_s, f"mark {name!r}\n{self._stderr}")

    def wait_for_error_line(self, text: str, deadline_s: float = 60.0) -> str:
        """The first line with ``text`` in it that the program wrote to stderr."""

        def line() -> str | None:
            return next((line for line in list(self._stderr.text) if text in line), None)

        return str(wait_until(line, deadline_s, f"{text!r} on stderr"))

    def tell(self, line: str) -> None:
        """Give the program a line to read."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def close_stdin(self) -> None:
        """End what the program reads: ``sys.stdin.read()`` waits for this."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # what was not read when it ended
            self._process.stdin.close()

    def fields_so_far(self) -> dict[str, Any]:
        """What it has reported up to now. After ``wait_for_mark``: all it reported before that."""
        return _reported(list(self._stdout.text))

    def signal(self, number: signal.Signals) -> float:
        """Send a signal; returns the monotonic time just before."""
        if self._private_pids:
            raise ValueError("process 1 of a pid namespace does not get signals as others do")
        sent = time.monotonic()
        self._process.send_signal(number)
        return sent

    def finish(self, deadline_s: float) -> ProgramResult:
        """Wait for its end. Past the deadline it is killed; ``TimeoutError`` shows its output."""
        try:
            rc = self._process.wait(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise TimeoutError(
                f"still running after {deadline_s:g} s:\n{self._stdout}\n--\n{self._stderr}"
            ) from None
        wall_s = time.monotonic() - self._began
        self._drain()
        return ProgramResult(rc, str(self._stdout), str(self._stderr), wall_s)

    def kill(self) -> None:
        """SIGKILL it and whatever it started."""
        below = descendants(self._process.pid)
        if self._process.poll() is None:
            self._process.kill()
        for process in below:
            send_signal(process.pid, signal.SIGKILL)
        self._process.wait()
        self._drain()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *raised: object) -> None:
        self.kill()
        self._home.cleanup()

    def _drain(self) -> None:
        self.close_stdin()
        # Bounded: a grandchild that lives on may hold the pipes open.
        for reader in self._readers:
            reader.join(timeout=2)
        test = os.environ.get("PYTEST_CURRENT_TEST", "a program")
        secrets.look_through(f"{self._stdout}\n{self._stderr}", test)


def run_program(
    source: str,
    *args: str,
    env: Mapping[str, str] | None = None,
    deadline_s: float = 60.0,
    prefix: Sequence[str] = (),
    private_pids: bool = False,
    python: str = sys.executable,
    flags: Sequence[str] = (),
) -> ProgramResult:
    """Run a program to its end; parameters as for ``Program``."""
    with Program(
        source,
        *args,
        env=env,
        prefix=prefix,
        private_pids=private_pids,
        python=python,
        flags=flags,
    ) as program:
        return program.finish(deadline_s)
