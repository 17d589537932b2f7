"""What is Linux's own has a second way that does without it, and finds the same."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from seedcore_ray import _core
from seedcore_ray.testing import RayHead, processes
from seedcore_ray.testing.processes import descendants, exists, is_alive
from tests.support import Program, run_program, wait_until


@pytest.fixture
def portably(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PORTABLE", True)


def test_this_is_built_for_the_system_that_was_meant() -> None:
    """`make portable` says which; else it would be tried with what it is to do without."""
    assert os.environ.get("EXPECTED_PLATFORM", "linux") == _core.PLATFORM


_TREE = """
    import subprocess, sys, time
    zombie = subprocess.Popen(["true"])  # nobody waits for it
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "with  spaces"])
    mark("up"); child.wait()
"""


def test_ps_shows_the_processes_that_proc_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(portable: bool, zombies: bool) -> list[tuple[int, int, str]]:
        monkeypatch.setattr(processes, "PORTABLE", portable)
        found = descendants(program.pid, zombies=zombies)
        return sorted((p.pid, p.parent, "" if p.is_zombie else p.command) for p in found)

    with Program(_TREE) as program:
        program.wait_for_mark("up")
        wait_until(lambda: len(seen(False, True)) - len(seen(False, False)) == 1, 30, "a zombie")
        for zombies in (True, False):
            assert seen(True, zombies) == seen(False, zombies)
        (child,) = descendants(program.pid)
        assert child.command.endswith("with  spaces") and child.name.startswith("python")


def test_ps_knows_who_lives(portably: None) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_alive(child.pid) and exists(child.pid)
    child.kill()
    wait_until(lambda: not is_alive(child.pid), 30, "its end")
    assert exists(child.pid)
    child.communicate()
    assert not exists(child.pid)


def test_an_orphan_belongs_to_its_session_where_nobody_inherits_it(portably: None) -> None:
    """The parent ends at once, and `init` gets its child."""
    source = "import os, time; os.fork() and os._exit(0); time.sleep(60)"
    leader = f"""
        import os, subprocess, sys
        subprocess.run([sys.executable, "-c", {source!r}], check=True)
        mark("up"); sys.stdin.read()
    """
    with Program(leader) as program:
        program.wait_for_mark("up")
        assert os.getsid(program.pid) == program.pid
        orphan = wait_until(lambda: descendants(program.pid), 30, "the orphan")[0]
        assert source in orphan.command


@pytest.mark.matrix
def test_a_head_without_a_subreaper_lives_and_leaves_nothing(portably: None) -> None:
    task = """
        import sys, ray
        ray.init(sys.argv[1])
        report(x=ray.get(ray.remote(lambda: 7).remote()))
    """
    with RayHead() as head:
        done = run_program(task, head.client_address, env=head.env(), deadline_s=90).ok()
        assert done.fields == {"x": 7}
        found, directory = head.processes(), head.directory
        assert {"gcs_server", "raylet"} <= {process.name for process in found}
        for part in ("proxier", "gcs_server", "raylet"):
            head.kill(part)
    assert [process for process in found if is_alive(process.pid)] == []
    assert not directory.exists()
