"""``seedcore-ray health``: one look, bounded, with a code for each cause."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import grpc
import pytest

from seedcore_ray import cli as cli_module
from seedcore_ray.cli import _arguments, _doctor, _health, _plain
from seedcore_ray.testing import RayHead
from tests.cli.commands import cli, cli_json
from tests.support import SOON_S, AcceptAndClose, GrpcPeer, SilentListener, WebServer, closed_port


def test_a_head_that_answers(ray_head: RayHead) -> None:
    for address in (ray_head.gcs_address, ray_head.client_address):
        done = cli("health", address).ok()
        assert done.stdout.startswith(f"ok  {address} answers in ")
        seen = cli_json("health", env={"RAY_ADDRESS": address})
        assert (seen["address"], seen["error"], seen["instead_of"]) == (address, None, None)
        assert 0 < seen["took_s"] < SOON_S
    seen = cli_json("health", "auto", env=ray_head.env())
    assert seen["address"] == ray_head.auto_address


def test_a_code_for_each_cause(tmp_path: Path) -> None:
    web, silent, closing = WebServer(), SilentListener(), AcceptAndClose()
    other = GrpcPeer.refusing(grpc.StatusCode.UNIMPLEMENTED)
    with web, silent, closing, other:
        cases = {
            "ray:/head": ("invalid_address", 10),
            "nobody.invalid:6379": ("dns", 11),
            f"127.0.0.1:{closed_port()}": ("refused", 12),
            silent.address: ("timeout", 14),
            closing.address: ("not_ready", 15),
            other.client_address: ("wrong_port", 16),
            web.client_address: ("not_ray", 17),
        }
        for address, (kind, code) in cases.items():
            seen = cli_json("health", address, "--timeout", "1")
            assert (seen["error"]["kind"], seen["exit_code"]) == (kind, code), address
            assert seen["error"]["hint"]
    done = cli("health", env={"RAY_TMPDIR": str(tmp_path)}, private_pids=True)
    assert done.rc == 21 and done.stdout.startswith("no_local_ray  auto: no Ray runs")


def test_the_bound_holds() -> None:
    with SilentListener() as peer:
        began = time.monotonic()
        done = cli("health", "--timeout", "0.3", peer.address)
        took = time.monotonic() - began
    assert done.rc == 14 and "within 300ms" in done.stdout
    assert took < SOON_S


def test_a_setting_that_cannot_be_used_is_no_failure(ray_head: RayHead) -> None:
    env = {"SEEDCORE_RAY_PROBE_TIMEOUT_S": "soon"}
    done = cli("health", ray_head.gcs_address, env=env).ok()
    assert done.stderr.startswith("warning: SEEDCORE_RAY_PROBE_TIMEOUT_S=soon cannot be used")
    seen = cli_json("health", ray_head.gcs_address, env=env)
    assert len(seen["warnings"]) == 1


PLAIN = [
    [],
    ["head:6379"],
    ["--json"],
    ["--timeout", "2"],
    ["--json", "ray://head", "--timeout", ".5"],
    ["ray://head", "--timeout", "1e1"],
]
LEFT_TO_ARGPARSE = [
    (["--timeout=2", "a=b"], ("a=b", 2.0, False)),
    (["--timeout", ".5", "--json", "ray://head"], ("ray://head", 0.5, True)),
    (["--", "a:1"], ("a:1", None, False)),
    ([""], ("", None, False)),
]
MISTAKES = [
    ["--timeout"],
    ["--timeout", "0"],
    ["--timeout", "nan"],
    ["--timeout", "1e9"],
    ["--timeout", "--json"],
    ["--timeout="],
    ["--json=1"],
    ["a:1", "b:2"],
    ["--jsn"],
    ["--js"],
]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the commands are called with."""
    heard: list[Any] = []

    def note(
        address: str | None, timeout_s: float | None, as_json: bool, full: bool = False
    ) -> int:
        assert not full
        heard.append((address, timeout_s, as_json))
        return 0

    monkeypatch.setattr(_doctor, "doctor", note)
    monkeypatch.setattr(_health, "health", note)
    return heard


@pytest.mark.parametrize("command", ["doctor", "health"])
@pytest.mark.parametrize("words", PLAIN, ids=" ".join)
def test_without_argparse_the_same_is_understood(
    command: str, words: list[str], heard: list[Any]
) -> None:
    assert _plain.options([command, *words]) is not None
    assert cli_module.main([command, *words]) == 0
    assert _arguments.run([command, *words]) == 0
    assert len(heard) == 2 and heard[0] == heard[1]


@pytest.mark.parametrize(("words", "expected"), LEFT_TO_ARGPARSE)
def test_what_is_not_plain_is_left_to_argparse(
    words: list[str], expected: tuple[object, ...], heard: list[Any]
) -> None:
    assert _plain.options(["health", *words]) is None
    assert cli_module.main(["health", *words]) == 0
    assert heard == [expected]


@pytest.mark.parametrize("words", [["--help"], *MISTAKES], ids=" ".join)
def test_no_mistake_passes_for_plain(words: list[str], heard: list[Any]) -> None:
    assert _plain.options(["health", *words]) is None
    with pytest.raises(SystemExit) as end:
        cli_module.main(["health", *words])
    assert (end.value.code, heard) == (0 if words == ["--help"] else 2, [])
