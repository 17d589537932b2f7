"""What all commands have in common: no Ray, plain in pipes, colour on terminals, usage errors."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.commands import SCRIPT, cli
from tests.support import closed_port, run_program

_COMMANDS = ("doctor", "wait", "health", "which", "config")


@pytest.mark.parametrize("command", _COMMANDS)
def test_ray_is_never_imported(command: str) -> None:
    address = {"doctor", "wait", "health"} & {command} and [f"127.0.0.1:{closed_port()}"]
    words = [command, *(address or [])] + (["--timeout", "0.5"] if command == "wait" else [])
    done = cli(*words, env={"PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "seedcore_ray._core" in imported, done.told()
    assert not {name for name in imported if name.split(".")[0] in ("ray", "grpc")}
    # A probe that runs every few seconds does not pay for argparse, nor for logging at exit.
    assert ("argparse" in imported) is (command not in ("doctor", "health"))
    assert "click" not in imported
    assert "logging" not in imported


def test_python_m_is_the_same() -> None:
    program = [sys.executable, "-m", "seedcore_ray", "which"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == subprocess.run([SCRIPT, "which"], capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    "words",
    [["unknown"], ["health", "a:1", "b:1"], ["wait", "--timeout", "soon"], ["which", "me"]],
    ids=" ".join,
)
def test_mistakes_in_the_arguments_are_2(words: list[str]) -> None:
    done = cli(*words)
    assert done.rc == 2 and done.stdout == "" and "usage: seedcore-ray" in done.stderr


def test_help_and_version() -> None:
    commands = (*_COMMANDS, "migrate")
    assert set(commands) <= set(cli("--help").ok().stdout.split())
    for command in commands:
        assert f"seedcore-ray {command}" in cli(command, "-h").ok().stdout
    assert cli("--version").ok().stdout.startswith("seedcore-ray ")


def test_nothing_has_to_be_installed_beside_it() -> None:
    source = """
        import importlib.metadata, sys
        sys.modules["click"] = None
        from seedcore_ray.cli import main
        codes = [main(["which"]), main(["config"])]
        sys.stdout.flush()
        needs = importlib.metadata.requires("seedcore-ray") or []
        report(codes=codes, required=[one for one in needs if "extra ==" not in one])
    """
    done = run_program(source).ok()
    assert done.fields == {"codes": [0, 0], "required": []}
    assert done.stderr == ""


def test_a_reader_that_has_enough() -> None:
    for command in ("which", "config"):
        done = subprocess.run(
            ["sh", "-c", f"'{SCRIPT}' {command} | true"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.stderr == ""
