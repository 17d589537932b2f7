"""``seedcore-ray doctor``: what it says of real heads, and of everything that is none."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from pathlib import Path
from typing import Any

import pytest

from seedcore_ray.testing import RayHead
from tests.cli.commands import cli, cli_json, hops, verdicts
from tests.support import SOON_S, GrpcPeer, SilentListener, WebServer, closed_port, run_program
from tests.support.secrets import TOKEN

_RAY = importlib.metadata.version("ray")
_NETWORK = ("dns", "tcp", "grpc")


def asked(document: dict[str, Any]) -> dict[str, Any]:
    """The candidate that is the address itself."""
    first: dict[str, Any] = document["candidates"][0]
    return first


def test_the_ray_of_this_machine(ray_head: RayHead) -> None:
    began = time.time()
    document = cli_json("doctor", env=ray_head.env())
    assert document["exit_code"] == 0
    head = asked(document)
    assert verdicts(head, ("local", *_NETWORK, "cluster", "versions")) == ["ok"] * 6
    assert verdicts(head, ("token", "tls")) == ["skipped"] * 2
    assert ray_head.auto_address in hops(head)["local"][1]
    assert (head["ray_version"], head["python_version"]) == (_RAY, platform.python_version())
    assert len(head["cluster_id"]) == 56
    tried = [hop for hop in head["hops"] if hop["at"] is not None]
    clocks = [hop["at"] for hop in tried]
    assert clocks == sorted(clocks) and began - 1 < clocks[0] < time.time()
    assert all(0 <= hop["took_s"] < SOON_S for hop in tried)
    here = document["here"]
    assert (here["ray"], here["python"]) == (_RAY, platform.python_version())
    assert here["modules"]["seedcore.utils.ray_utils"].endswith("_facades/ray_utils.py")


def test_a_healthy_head_in_words(ray_head: RayHead) -> None:
    env = {**ray_head.env(), "SEEDCORE_NS": "prod", "SEEDCORE_RAY_PROBE_TIMEOUT_S": "1.5"}
    done = cli("doctor", ray_head.client_address, env=env).ok()
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["namespace", "prod", "SEEDCORE_NS"] in lines
    assert ["address", ray_head.client_address, "argument"] in lines
    assert ["probe_timeout_s", "1.5", "SEEDCORE_RAY_PROBE_TIMEOUT_S"] in lines
    assert any(line[-4:] == ["grpc", "Ray", "Client", "answers"] for line in lines)
    assert lines[-2][:2] == ["diagnosis", "ok:"] and lines[-1] == ["next", "Nothing", "to", "do."]
    assert "\x1b" not in done.stdout and done.stderr == ""


@pytest.mark.parametrize("peer", ["closed", "silent", "web"])
def test_what_is_no_ray(peer: str) -> None:
    web, silent = WebServer(), SilentListener()
    with web, silent:
        address, kind, code, failed = {
            "closed": (f"ray://127.0.0.1:{closed_port()}", "refused", 12, "tcp"),
            "silent": (silent.address, "timeout", 14, "grpc"),
            "web": (web.client_address, "not_ray", 17, "grpc"),
        }[peer]
        document = cli_json("doctor", address, "--timeout", "1")
    assert (document["diagnosis"]["kind"], document["exit_code"]) == (kind, code)
    told = {hop["name"]: hop["verdict"] for hop in asked(document)["hops"]}
    assert [name for name, verdict in told.items() if verdict == "failed"] == [failed]
    before = _NETWORK[: _NETWORK.index(failed)]
    assert all(told[name] == "ok" for name in before) and told["cluster"] == "skipped"
    assert document["diagnosis"]["next"]


def test_ports_that_were_mixed_up(ray_head: RayHead) -> None:
    wrong = cli_json("doctor", f"ray://{ray_head.gcs_address}")
    assert (wrong["diagnosis"]["kind"], wrong["exit_code"]) == ("wrong_port", 16)
    assert f"{ray_head.gcs_address} (no ray://)" in wrong["diagnosis"]["next"]
    client = ray_head.client_address.removeprefix("ray://")
    wrong = cli_json("doctor", client)
    assert wrong["diagnosis"]["kind"] == "wrong_port"
    assert f"ray://{client}" in wrong["diagnosis"]["next"]


def test_no_local_ray_and_a_stale_address_file(tmp_path: Path) -> None:
    env = {"RAY_TMPDIR": str(tmp_path)}
    none = cli_json("doctor", env=env, private_pids=True)
    assert (none["diagnosis"]["kind"], none["exit_code"]) == ("no_local_ray", 21)
    assert hops(asked(none))["dns"] == ("skipped", "not reached")
    file = tmp_path / "ray" / "ray_current_cluster"
    file.parent.mkdir()
    file.write_text(f"127.0.0.1:{closed_port()}")
    stale = cli_json("doctor", env=env, private_pids=True)
    assert (stale["diagnosis"]["kind"], stale["exit_code"]) == ("stale_local_ray", 22)
    assert str(file) in stale["diagnosis"]["next"]
    assert verdicts(asked(stale), ("local", "tcp")) == ["ok", "failed"]


def test_ray_address_in_place_of_auto(ray_head: RayHead) -> None:
    gone = f"127.0.0.1:{closed_port()}"
    document = cli_json("doctor", "auto", env={**ray_head.env(), "RAY_ADDRESS": gone})
    address = document["settings"][0]
    assert (address["value"], address["source"]) == (gone, "RAY_ADDRESS")
    assert "`auto`" in address["note"]
    assert document["exit_code"] == 12
    assert "unset RAY_ADDRESS" in document["diagnosis"]["next"]


def test_an_address_that_is_none() -> None:
    env = {"RAY_ADDRESS": "ray://me:" + "s3cret@head"}
    done = cli("doctor", env=env)
    assert done.rc == 10 and "invalid_address" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr
    document = cli_json("doctor", env=env)
    assert document["candidates"] == [] and not document["settings"][0]["ok"]


def test_other_versions_and_no_ray_at_all() -> None:
    with GrpcPeer.gcs("2.0.0", "3.8.0") as peer:
        other = cli_json("doctor", peer.address)
        assert (other["diagnosis"]["kind"], other["exit_code"]) == ("version_mismatch", 20)
        assert hops(asked(other))["versions"][0] == "failed"
        assert asked(other)["ray_version"] == "2.0.0"
        source = """
            import sys
            from seedcore_ray.cli import main
            sys.modules["ray"] = None
            sys.exit(main(["doctor", sys.argv[1]]))
        """
        missing = run_program(source, peer.address)
    assert missing.rc == 23, missing.told()
    assert "pip install" in missing.stdout.splitlines()[-1]


def test_modules_that_are_not_ours(ray_head: RayHead) -> None:
    # As with `pip install --target`: no .pth file has run.
    source = """
        import sys
        sys.meta_path[:] = [one for one in sys.meta_path
                            if type(one).__module__ != "_seedcore_ray_hook"]
        from seedcore_ray.cli import main
        sys.exit(main(["doctor", sys.argv[1]]))
    """
    done = run_program(source, ray_head.gcs_address)
    assert done.rc == 1 and "not served by seedcore-ray" in done.stdout, done.told()
    off = cli("doctor", ray_head.gcs_address, env={"SEEDCORE_RAY_IMPORT_HOOK": "0"})
    assert off.rc == 0 and "switched off" in off.stdout, "somebody wanted it so"


# Names that nobody else has, for one process.
_WITH_HOSTS = (
    *("unshare", "--mount", "sh", "-c"),
    'mount --bind "$1" /etc/hosts && shift && exec "$@"',
    "hosts",
)


def test_a_head_service_that_was_renamed(ray_head: RayHead, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n127.0.0.1 seedcore-svc-raycluster-stable-svc\n")
    port = ray_head.gcs_port
    env = {"RAY_ADDRESS": f"seedcore-svc-raycluster-k3x9q-head-svc:{port}"}
    stable = f"seedcore-svc-raycluster-stable-svc:{port}"
    prefix = (*_WITH_HOSTS, str(hosts))
    document = cli_json("doctor", env=env, prefix=prefix)
    assert document["exit_code"] == 0
    assert "each run a new one" in document["diagnosis"]["sentence"]
    assert document["diagnosis"]["next"] == f"Set RAY_ADDRESS={stable}."
    told = {one["address"]: (one["is_fallback"], one["verdict"]) for one in document["candidates"]}
    assert told[env["RAY_ADDRESS"]] == (False, "failed")
    assert told[stable] == (True, "ok")
    alone = {**env, "SEEDCORE_RAY_FALLBACKS": "0"}
    forbidden = cli_json("doctor", env=alone, prefix=prefix)
    assert forbidden["exit_code"] == 11 and stable in forbidden["diagnosis"]["next"]
    # The same fallback, for a probe and for whoever waits.
    for command in ("health", "wait"):
        seen = cli_json(command, "--timeout", "4", env=env, prefix=prefix)
        assert seen["address"] == stable and seen["instead_of"]["kind"] == "dns"


def test_a_token(token_head: RayHead, tmp_path: Path) -> None:
    good = cli_json("doctor", token_head.client_address, env=token_head.env())
    assert hops(asked(good))["token"] == ("ok", "from RAY_AUTH_TOKEN")
    (token,) = (one for one in good["settings"] if one["name"] == "token")
    assert (token["value"], token["source"]) == ("sent", "RAY_AUTH_TOKEN")
    # A file lies ready, but the mode is not set.
    home = tmp_path / "home"
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text(TOKEN)
    unset = cli("doctor", token_head.gcs_address, env={"HOME": str(home)})
    assert unset.rc == 19
    assert unset.stdout.splitlines()[-1].split(None, 1) == ["next", "Set RAY_AUTH_MODE=token."]
    wrong = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "another"}
    assert cli("health", token_head.client_address, env=wrong).rc == 19


def test_tls_shows_names_and_the_last_day(tls_head: RayHead) -> None:
    document = cli_json("doctor", tls_head.client_address, env=tls_head.env())
    verdict, detail = hops(asked(document))["tls"]
    assert verdict == "ok"
    assert "localhost, 127.0.0.1" in detail and "(in " in detail
    assert time.strftime("%Y-", time.gmtime(time.time() + 86_400)) in detail
    plain = cli_json("doctor", tls_head.client_address)
    assert (plain["diagnosis"]["kind"], plain["exit_code"]) == ("tls", 18)
    stranger = {**tls_head.env(), "RAY_TLS_CA_CERT": "/nowhere.crt"}
    broken = cli_json("doctor", tls_head.client_address, env=stranger)
    assert hops(asked(broken))["tls"][0] == "failed"
    assert "/nowhere.crt" in broken["diagnosis"]["sentence"]
