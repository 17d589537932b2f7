"""What a terminal gets that a pipe does not: colour, its width, and of a doctor what matters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from benches import terminal
from seedcore_ray import _hook_status
from seedcore_ray.cli._glance import glance
from seedcore_ray.cli._output import Console
from seedcore_ray.testing import RayHead
from tests.cli.commands import cli, on_terminal
from tests.support import SilentListener, TcpRelay, closed_port, wait_until

_PLAIN = {"NO_COLOR": "1"}
_NOT_COLOURED = (
    {"NO_COLOR": "1"},
    {"NO_COLOR": "1", "FORCE_COLOR": "1"},
    {"TERM": "dumb"},
    {"CLICOLOR": "0"},
)
_FORCED = ({"FORCE_COLOR": "1"}, {"CLICOLOR_FORCE": "1"}, {"FORCE_COLOR": "1", "TERM": "dumb"})
_NOT_FORCED = ({"FORCE_COLOR": "0"}, {"CLICOLOR_FORCE": ""}, {"FORCE_COLOR": "1", **_PLAIN})


@pytest.fixture
def closed() -> str:
    """An address where nothing listens."""
    return f"ray://127.0.0.1:{closed_port()}"


def test_a_terminal_is_coloured_unless_asked_otherwise(closed: str) -> None:
    code, text = on_terminal("doctor", closed)
    assert code == 12
    assert "\x1b[1;31mrefused" in text and "\x1b[32mok" in text and "\x1b[2m  skipped" in text
    for env in _NOT_COLOURED:
        assert "\x1b[" not in on_terminal("config", env=env)[1], env


def test_a_pipe_is_plain_unless_asked_otherwise(closed: str) -> None:
    assert "\x1b[" not in cli("doctor", closed).stdout
    for env in _NOT_FORCED:
        assert "\x1b[" not in cli("config", env=env).stdout, env
    for env in _FORCED:
        assert "\x1b[2mdefault" in cli("config", env=env).stdout, env
    assert "\x1b" not in cli("doctor", closed, "--json", env={"FORCE_COLOR": "1"}).stdout


@pytest.mark.parametrize("columns", [80, 120])
def test_the_diagnosis_comes_first_and_columns_are_aligned(closed: str, columns: int) -> None:
    _, text = on_terminal("doctor", closed, env={**_PLAIN, "SEEDCORE_NS": "prod"}, columns=columns)
    lines = text.splitlines()
    assert lines[0].startswith(f"refused  {closed}: connection refused")
    following = next(line for line in lines if not line.startswith(("refused", " ")))
    assert following.startswith("next     Check that the head runs")
    assert all(len(line) <= columns for line in lines)
    title = lines.index(closed)
    dns, tcp, skipped = lines[title + 1 : title + 4]
    columns_of = [[line.index(word) for word in words] for line, words in _cells(dns, tcp)]
    assert columns_of[0] == columns_of[1]
    assert skipped.index("token, tls, grpc") == columns_of[0][1]
    address, namespace = (_line(lines, f"  {name} ") for name in ("address", "namespace"))
    assert address.index("argument") == namespace.index("SEEDCORE_NS")
    assert address.index(closed) == namespace.index("prod")


def _cells(dns: str, tcp: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield dns, ("ok", "dns", "127.0.0.1")
    yield tcp, ("failed", "tcp", "refused, as said above")


def _line(lines: list[str], start: str) -> str:
    (line,) = (line for line in lines if line.startswith(start))
    return line


def test_nothing_is_lost() -> None:
    # A local address shows where a native driver goes, too, and a setting that cannot be used.
    address, env = f"127.0.0.1:{closed_port()}", {**_PLAIN, "SEEDCORE_RAY_PROBE_TIMEOUT_S": "soon"}
    piped = cli("doctor", address, env=env).stdout
    _, text = on_terminal("doctor", "--full", address, env=env, columns=80)
    assert _words(text) == _words(piped)
    short = on_terminal("doctor", address, env=env, columns=80)[1]
    told = _words(piped)
    for line in ("note: SEEDCORE_RAY_PROBE_TIMEOUT_S=soon cannot be used", "(tried"):
        assert line in _words(short) and line in told
    assert "loss_grace_s" in told and "loss_grace_s" not in short and "--full" in short


def _words(text: str) -> str:
    """The words, without line breaks, clocks, durations and directories that change."""
    numbers = re.sub(r"[\d.:-]+ (ms|s|\+0000)|\d\d:\d\d:\d\d\.\d+|/tmp/\S+", "", text)
    return " ".join(numbers.split())


def test_modules_that_are_not_ours_are_named(closed: str) -> None:
    _, text = on_terminal("doctor", closed, env={**_PLAIN, "SEEDCORE_RAY_IMPORT_HOOK": "0"})
    assert re.search(r"\n  import hook +switched off \(SEEDCORE_RAY_IMPORT_HOOK=0\)", text)
    assert "import hook" not in on_terminal("doctor", closed, env=_PLAIN)[1]


def test_a_standby_that_is_down(ray_head: RayHead) -> None:
    env = {**_PLAIN, "SEEDCORE_RAY_STANDBY_ADDRESSES": f"127.0.0.1:{closed_port()}"}
    code, text = on_terminal("doctor", ray_head.gcs_address, env=env, columns=80)
    assert code == 0 and text.startswith(f"ok    {ray_head.gcs_address} answers")
    assert all(len(line) <= 80 for line in text.splitlines())
    standby = text.partition("\nstandby 127.0.0.1:")[2]
    # Its failure is not the diagnosis, so it is told where it was met.
    assert re.search(r"\n  failed +tcp +[\d.]+ ms  connection refused, nothing listens", standby)


def test_a_fallback_that_was_not_needed() -> None:
    asked = {"address": "head:6379", "is_fallback": False, "is_standby": False, "verdict": "ok"}
    other = {"address": "other:6379", "is_fallback": True, "is_standby": False}
    found = {
        "candidates": [{**asked, "hops": []}, {**other, "verdict": "skipped", "hops": []}],
        "diagnosis": {"kind": None, "exit_code": 0, "sentence": "It answers", "next": "Nothing."},
        "settings": [],
    }
    here = {"seedcore_ray": "1", "ray": None, "python": "3", "modules": _hook_status.servers()}
    lines = list(glance(Console(), here, found))
    assert "fallback other:6379  not tried, not needed" in lines
    assert "  seedcore-ray 1, no Ray, Python 3" in lines


def test_a_wait_counts_on_one_line_for_each_cause(ray_head: RayHead) -> None:
    port = closed_port()
    address, target = f"ray://127.0.0.1:{port}", ("127.0.0.1", ray_head.client_port)
    peers: list[SilentListener | TcpRelay] = []

    def heard(text: str) -> None:
        """First nobody, then somebody who says nothing, then Ray."""
        if text.count("refused") >= 2 and not peers:
            peers.append(SilentListener(port))
        elif len(peers) == 1 and "refused" not in terminal.shown(text)[-1]:
            peers[0].close()
            wait_until(lambda: _relays(peers, target, port), 10, "the port is free again")

    env = {**_PLAIN, "SEEDCORE_RAY_PROBE_TIMEOUT_S": "0.5"}
    code, text = on_terminal("wait", address, env=env, columns=70, heard=heard)
    for peer in peers:
        peer.close()
    written = re.split(r"\r\x1b\[K|\r\n", text)
    assert all(len(line) < 70 for line in written)
    assert sum("refused" in line for line in written) >= 2
    refused, silent, verdict = terminal.shown(text)
    assert re.match(rf"waiting, \d+ of 60 s: {address}: connection refused", refused)
    assert re.match(rf"waiting, \d+ of 60 s: {address}: ", silent) and "refused" not in silent
    assert code == 0 and re.fullmatch(rf"ok  {address} answers in [\d.]+ m?s", verdict)


def _relays(peers: list[SilentListener | TcpRelay], target: tuple[str, int], port: int) -> bool:
    try:
        peers.append(TcpRelay(target, port))
    except OSError:
        return False
    return True


def test_a_difference_is_coloured_for_eyes_only(tmp_path: Path) -> None:
    # The removed comment looks like the head of a file.
    source = "import ray\n\nray.init(  # ...\n-- 1)\n"
    (tmp_path / "app.py").write_text(source)
    words = ("migrate", "--unsafe-fixes", "--diff", "app.py")
    code, text = on_terminal(*words, cwd=tmp_path)
    assert code == 1
    lines = text.replace("\r\n", "\n").splitlines()
    assert lines[0] == "\x1b[1m--- a/app.py\x1b[0m" and lines[1] == "\x1b[1m+++ b/app.py\x1b[0m"
    assert re.fullmatch(r"\x1b\[36m@@ .* @@\x1b\[0m", lines[2])
    assert "\x1b[32m+import seedcore_ray\x1b[0m" in lines
    assert " import ray" in lines
    removed = [line for line in lines if line.startswith("\x1b[31m-")]
    assert removed and all(line.endswith("\x1b[0m") for line in removed)
    patch = cli(*words, env={"FORCE_COLOR": "1"}, prefix=("env", "-C", str(tmp_path))).stdout
    assert patch.splitlines() == [terminal.plain(line) for line in lines[: len(patch.splitlines())]]
