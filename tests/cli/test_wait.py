"""``seedcore-ray wait``: patient where time may cure the cause, and nowhere else."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from seedcore_ray.testing import RayHead
from tests.cli.commands import cli, cli_json, start
from tests.support import SOON_S, GrpcPeer, WebServer, closed_port


def test_until_a_head_comes_up() -> None:
    head = RayHead()
    with start("wait", head.client_address, "--timeout", "90") as waiting:
        said = waiting.wait_for_error_line("waiting for Ray")
        assert f"{head.client_address}: connection refused" in said
        with head:
            done = waiting.finish(deadline_s=60)
    assert done.ok().stdout.startswith(f"ok  {head.client_address} answers in ")


def test_a_local_ray_is_waited_for_too(tmp_path: Path) -> None:
    file = tmp_path / "ray" / "ray_current_cluster"
    file.parent.mkdir()
    env = {"RAY_TMPDIR": str(tmp_path)}
    with (
        GrpcPeer.gcs("2.60.0", "3.11.0") as peer,
        start("wait", "--json", env=env, private_pids=True) as waiting,
    ):
        waiting.wait_for_error_line("no Ray runs on this machine")
        file.write_text(f"127.0.0.1:{closed_port()}")
        waiting.wait_for_error_line("does not answer")
        file.write_text(peer.address)
        done = waiting.finish(deadline_s=30)
    assert f'"address": "{peer.address}"' in done.ok().stdout


def test_the_time_is_up() -> None:
    address = f"127.0.0.1:{closed_port()}"
    began = time.monotonic()
    done = cli("wait", address, "--timeout", "1")
    assert 0.7 < time.monotonic() - began < 1 + SOON_S
    assert done.rc == 12 and done.stdout.startswith(f"refused  {address}: connection refused")
    # One line for one cause, however often it was met.
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"waiting for Ray, 0 of 1 s: {address}: connection refused")


def test_a_cause_that_time_cannot_cure_ends_it(ray_head: RayHead) -> None:
    with WebServer() as web:
        for address, code in (
            (f"ray://{ray_head.gcs_address}", 16),
            (web.address, 17),
            ("head", 10),
        ):
            seen = cli_json("wait", address, "--timeout", "60")
            assert (seen["exit_code"], seen["took_s"] < SOON_S) == (code, True)


def test_ctrl_c_is_one_line_and_130() -> None:
    with start("wait", f"127.0.0.1:{closed_port()}") as waiting:
        waiting.wait_for_error_line("waiting for Ray")
        sent = waiting.signal(signal.SIGINT)
        done = waiting.finish(deadline_s=60)
        assert time.monotonic() - sent < SOON_S
    assert done.rc == 130 and done.stdout == ""
    assert done.stderr.splitlines()[1:] == ["interrupted"]
