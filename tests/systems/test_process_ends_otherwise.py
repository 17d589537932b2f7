"""A process whose native destructors are skipped ends with the exit code of its interpreter.

With glibc's ``on_exit`` and without: ``portably`` is what musl and macOS get. No Ray is needed: a
destructor that aborts stands for Ray's, which hang or fault in a forked child.
"""

from __future__ import annotations

import concurrent.futures
import sys

import pytest

from tests.support import ProgramResult, run_program

_PROGRAM = """
import ctypes, os, sys, threading
from sys import exit as exit_of_before
from seedcore_ray import _process_end

libc = ctypes.CDLL(None)
libc.__cxa_atexit(ctypes.cast(libc.abort, ctypes.c_void_p), None, None)

def skip():
    _process_end.skip_static_destructors(portably=sys.argv[1] == "portably")

def ends_with(leave):
    # What a forked child would have ended with, its own exit hooks included.
    child = os.fork()
    if child == 0:
        skip()
        leave()
    else:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

class Own(SystemExit):
    pass

def fails():
    raise RuntimeError("meant")

def caught(code, leave=sys.exit):
    try:
        leave(code)
    except SystemExit as error:
        assert error.code == code

skip()
"""
# What such a program does last, and its exit code.
_WAYS = {
    "pass": 0,
    "sys.exit()": 0,
    "sys.exit(3)": 3,
    "sys.exit(-1)": 255,
    "sys.exit(True)": 1,
    "sys.exit('words')": 1,
    "raise SystemExit(4)": 4,
    "raise SystemExit(0)": 0,
    "raise SystemExit": 0,
    "raise Own(5)": 5,
    "fails()": 1,
    "caught(6)": 0,
    "caught(6); sys.exit(7)": 7,
    "caught(6, exit_of_before); fails()": 1,
    "thread = threading.Thread(target=sys.exit, args=[8]); thread.start(); thread.join()": 0,
    "import asyncio; asyncio.run(asyncio.to_thread(sys.exit, 9))": 9,
    "import atexit; atexit.register(print, 'late'); sys.exit(10)": 10,
    "ends_with(lambda: sys.exit(11))": 11,
    "ends_with(fails)": 1,
    "ends_with(lambda: None)": 0,
}


def _run(how: str, end: str) -> ProgramResult:
    return run_program(_PROGRAM + end, how, deadline_s=60)


@pytest.mark.parametrize("how", ["with_on_exit", "portably"])
def test_exit_code(how: str) -> None:
    # They wait for the interpreter's start more than for each other.
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        ended = dict(zip(_WAYS, pool.map(lambda end: _run(how, end), _WAYS), strict=True))
    codes = {end: result.rc for end, result in ended.items()}
    assert codes == _WAYS
    assert "words" in ended["sys.exit('words')"].stderr
    assert "RuntimeError: meant" in ended["fails()"].stderr
    late = next(result for end, result in ended.items() if "late" in end)
    assert "late" in late.stdout


def test_without_it_the_destructors_run() -> None:
    """Else the codes above would say nothing."""
    source = _PROGRAM.replace("\nskip()\n", "\n")
    assert run_program(source + "sys.exit(3)", "portably").rc == -6


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="a SystemExit from the start there")
@pytest.mark.skipif("coverage" in sys.modules, reason="it ends processes in a way of its own")
def test_an_exit_code_that_nobody_can_see_is_no_success() -> None:
    assert _run("portably", "exit_of_before(3)").rc == 1
    assert _run("with_on_exit", "exit_of_before(3)").rc == 3


def test_ctrl_c_still_ends_it_as_ctrl_c_does() -> None:
    assert _run("portably", "raise KeyboardInterrupt").rc == -2
