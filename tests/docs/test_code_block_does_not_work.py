"""Every code block in the README and the documents, done as a reader would do it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from seedcore_ray.testing import RayHead
from tests.docs.blocks import DOCUMENTS, ROOT, Block, blocks
from tests.support import clean_env, run_program

_RUNNER = Path(__file__).with_name("runner.py")
_BIN = Path(sys.prefix, "bin")
# One document has twenty examples and more, and the machine may be busy.
_DEADLINE_S = 280.0

# `text` is what a program printed, or a drawing. tests/test_docs.py looks at the mermaid; whether
# the promql is right shows in the rules and the dashboard, which have tests of their own; a diff is
# compared with what `seedcore-ray migrate` does, in tests/migrate.
_LANGUAGES = {"python", "bash", "yaml", "json", "text", "mermaid", "nginx", "promql", "diff"}


def test_every_block_names_its_language() -> None:
    unknown = [
        f"{block}: {block.language}" for block in blocks() if block.language not in _LANGUAGES
    ]
    assert unknown == []


def _documents_with_python() -> list[Path]:
    runs = {block.document for block in blocks("python") if block.mark != "not run"}
    return [document for document in DOCUMENTS if document in runs]


def _python_of(document: Path) -> list[Block]:
    return [block for block in blocks("python") if block.document == document]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("document", _documents_with_python(), ids=lambda path: path.name)
def test_python(document: Path, ray_head: RayHead) -> None:
    examples: list[list[tuple[str, str, str]]] = []
    for block in _python_of(document):
        if block.mark == "not run":
            compile(block.source, str(block), "exec")
            continue
        raises = block.detail if block.mark == "raises" else ""
        if block.mark != "continued":
            examples.append([])
        examples[-1].append((str(block), block.source, raises))
    ended = run_program(
        _RUNNER.read_text(),
        json.dumps(examples),
        env={**ray_head.env(), "RAY_ADDRESS": ray_head.gcs_address},
        deadline_s=_DEADLINE_S,
    ).ok()
    failed = [place for place, code in ended.fields.items() if code != 0]
    assert failed == [], ended.told()
    assert len(ended.fields) == len(examples)


def test_few_blocks_are_not_run() -> None:
    idle = [block for block in blocks() if block.mark == "not run"]
    assert [str(block) for block in idle if len(block.detail) < 20] == [], "each has its reason"
    assert len(idle) <= 5


def _commands(block: Block) -> list[list[str]]:
    lines = block.source.replace("\\\n", " ").splitlines()
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def _is_a_target(command: list[str]) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    assert {word for word in command[1:] if "=" not in word} <= targets


def _names_files(command: list[str]) -> None:
    named = [word for word in command if word.startswith(("deploy/", "examples/"))]
    assert [word for word in named if not (ROOT / word).exists()] == []


# What takes another machine, or would run these very tests: looked at as far as it goes.
_ELSEWHERE = {
    "make": _is_a_target,
    "pip": _names_files,
    "kubectl": _names_files,
    "docker": _names_files,
}
_SHELL = {block: {words[0] for words in _commands(block)} for block in blocks("bash")}


@pytest.mark.parametrize(
    "block", [b for b, used in _SHELL.items() if used & {*_ELSEWHERE}], ids=str
)
def test_shell_elsewhere(block: Block) -> None:
    assert _SHELL[block] <= {*_ELSEWHERE}, "what can be run here belongs in a block of its own"
    for command in _commands(block):
        _ELSEWHERE[command[0]](command)


@pytest.mark.parametrize(
    "block", [b for b, used in _SHELL.items() if not used & {*_ELSEWHERE}], ids=str
)
def test_shell(block: Block, ray_head: RayHead, tmp_path: Path) -> None:
    assert "ray" not in _SHELL[block], "a Ray that it starts would be left: say it in a text block"
    env = clean_env(tmp_path, {**ray_head.env(), "RAY_ADDRESS": ray_head.gcs_address})
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.source],
        env={**env, "PATH": f"{_BIN}:{env['PATH']}"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", blocks("yaml", "json"), ids=str)
def test_data(block: Block) -> None:
    loaded = list(yaml.safe_load_all(block.source))
    assert all(isinstance(found, (dict, list)) for found in loaded) and loaded
