"""The search for secrets in all that our own suite prints, when workers of xdist print it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin.conftest import Play
from tests.support.secrets import TOKEN

_TELLS = """
from tests.support import run_program
from tests.support.secrets import TOKEN

def test_tells():
    run_program("import sys; print('the token is', sys.argv[1])", TOKEN)

def test_is_discreet():
    run_program("print('nothing')")
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_run_fails_and_says_where(
    play: Play, pytester: pytest.Pytester, fresh_env: pytest.MonkeyPatch, workers: str
) -> None:
    pytest.importorskip("xdist")
    fresh_env.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    pytester.makepyfile(_TELLS)
    done = play("-p", "tests.conftest", "-n", workers)
    done.assert_outcomes(passed=2)
    assert done.ret == 1
    done.stdout.fnmatch_lines(["*secrets that were printed*", "*test_tells*'the token is ' *"])
    assert TOKEN not in done.stdout.str()
