"""What the status functions say when the cluster is frozen, gone, or another; and how soon."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from seedcore_ray.testing import RayHead
from tests.support import SOON_S
from tests.support.scenario import RAY_VERSION, play, start

MODES = ("native", "client")
_PROBE_TIMEOUT_S = 1.0
# What the calls see themselves: the monitor would answer for them, up to an interval late.
_UNWATCHED = {"SEEDCORE_RAY_HEALTH_INTERVAL_S": "0"}

_LOOKS = """
def looks():
    told = {}
    for name in ("is_ray_available", "is_connected", "get_ray_cluster_info", "held",
                 "get_connection_info", "get_ray_node_ip", "ensure_ray_initialized"):
        told[name] = timed(globals()[name])
    return told
"""


def test_a_frozen_head_is_told_in_time_and_thawed_is_back(
    own_head: RayHead, tmp_path: Path
) -> None:
    source = (
        _LOOKS
        + """
import ray
ensure_ray_initialized(sys.argv[1])
report(before=looks())
mark("connected")
open(sys.argv[2]).read()
report(frozen=looks(), waited=timed(wait_for_ray_ready, 2))
mark("looked")
open(sys.argv[3]).read()
answered, seconds = timed(wait_for_ray_ready, 20)
report(thawed=looks(), answered=answered, task=ray.get(ray.remote(lambda: 42).remote()))
"""
    )
    env = {**_UNWATCHED, "SEEDCORE_RAY_PROBE_TIMEOUT_S": str(_PROBE_TIMEOUT_S)}
    frozen = [_gate(tmp_path / f"frozen-{mode}") for mode in MODES]
    thawed = [_gate(tmp_path / f"thawed-{mode}") for mode in MODES]
    addresses = own_head.gcs_address, own_head.client_address
    with ExitStack() as stack:
        programs = [
            stack.enter_context(start(source, address, str(first), str(second), env=env))
            for address, first, second in zip(addresses, frozen, thawed, strict=True)
        ]
        for program in programs:
            program.wait_for_mark("connected")
        own_head.freeze()
        try:
            for gate in frozen:
                _open(gate)
            for program in programs:
                program.wait_for_mark("looked")
        finally:
            own_head.thaw()
        for gate in thawed:
            _open(gate)
        for program in programs:
            _check_frozen(program.finish(60).ok().fields)


def _check_frozen(told: dict[str, Any]) -> None:
    assert told["before"]["is_ray_available"][0] and told["before"]["is_connected"][0]
    frozen = told["frozen"]
    assert [frozen["is_ray_available"][0], frozen["is_connected"][0]] == [False, False]
    for look in ("get_ray_cluster_info", "get_connection_info"):
        assert frozen[look][0]["status"] == "error" and frozen[look][0]["error"]
    assert frozen["ensure_ray_initialized"][0] is True, "it is still the live connection"
    probe = frozen["held"][0]["last_probe"]
    assert probe["ok"] is False and probe["error"]
    for look, (_, seconds) in frozen.items():
        assert seconds < _PROBE_TIMEOUT_S + SOON_S, look
    waited, seconds = told["waited"]
    assert waited is False and seconds < 2 + _PROBE_TIMEOUT_S + SOON_S
    assert told["thawed"]["is_ray_available"][0] and told["answered"] and told["task"] == 42


def test_a_restarted_head_no_longer_knows_a_client(own_head: RayHead, tmp_path: Path) -> None:
    source = """
import ray
ensure_ray_initialized(sys.argv[1])
mark("connected")
open(sys.argv[2]).read()
report(lost=[is_ray_available(), is_connected(), get_ray_cluster_info(), get_connection_info()])
report(forced=ensure_ray_initialized(sys.argv[1], force_reinit=True), back=is_connected(),
       task=ray.get(ray.remote(lambda: 42).remote()))
shutdown_ray()
"""
    gate = _gate(tmp_path / "restarted")
    with start(source, own_head.client_address, str(gate), env=_UNWATCHED) as program:
        program.wait_for_mark("connected")
        own_head.restart()
        _open(gate)
        told = program.finish(90).ok().fields
    available, connected, cluster, info = told["lost"]
    assert [available, connected] == [False, False]
    # Until Ray's client has noticed, the server tells; the looks may fall on either side of that.
    assert cluster["status"] in ("error", "not_available")
    assert info["status"] in ("error", "not_connected")
    if info["status"] == "error":
        assert "no longer knows" in info["error"] and "force_reinit" in info["error"]
    assert told["forced"] and told["back"] and told["task"] == 42


@pytest.mark.parametrize("mode", MODES)
def test_status_before_and_after_a_connect(ray_head: RayHead, mode: str) -> None:
    told = play(
        _LOOKS
        + """
report(never=[is_ray_available(), is_connected(), get_ray_cluster_info(), get_connection_info()])
report(ready=wait_for_ray_ready(30), task=test_ray_connection(), ip=get_ray_node_ip(), last=error(),
       info=get_connection_info())
shutdown_ray()
report(after=[is_ray_available(), is_connected(), get_ray_cluster_info(), get_connection_info()],
       held=held(), last_after=error())
import seedcore_ray._facades.functions as module
report(collected=getattr(module.test_ray_connection, "__test__"))
""",
        RAY_ADDRESS=ray_head.gcs_address if mode == "native" else ray_head.client_address,
    )
    nothing = [False, False, {"status": "not_available"}, {"status": "not_connected"}]
    assert told["never"] == nothing and told["after"] == nothing
    assert told["ready"] and told["task"] and told["last"] is None and told["last_after"] is None
    assert told["info"]["status"] == "connected" and told["info"]["ray_version"] == RAY_VERSION
    assert told["held"]["state"] == "idle" and told["held"]["mode"] is None
    assert told["held"]["generation"] == 1 and told["collected"] is False
    assert not told["ip"].startswith("127.") and told["ip"] != "unknown"


def test_the_test_task_needs_nothing_of_ours_on_the_cluster(ray_head: RayHead) -> None:
    told = play(
        """
        import pathlib
        pathlib.Path("seedcore_ray.py").write_text("raise ImportError('not on the cluster')")
        env = {"env_vars": {"PYTHONPATH": os.getcwd()}}
        ensure_ray_initialized(sys.argv[1], runtime_env=env)
        import ray
        def look():
            try:
                import seedcore_ray
            except ImportError as error:
                return str(error)
        report(really=ray.get(ray.remote(look).remote()), ok=test_ray_connection(),
               said=logged("WARNING"))
        """,
        ray_head.client_address,
    )
    assert told["really"] == "not on the cluster"
    assert told["ok"] and told["said"] == []


def _gate(path: Path) -> Path:
    """A named pipe: who opens it to read waits until somebody opens it to write."""
    os.mkfifo(path)
    return path


def _open(gate: Path) -> None:
    with gate.open("w"):
        pass
