"""Where a connect leads: the address form, the namespace, what reaches ``ray.init``."""

from __future__ import annotations

import json

import pytest
from seedcore.utils import ray_connector, ray_utils

from seedcore_ray.testing import RayHead
from tests.support.modes import MOSTLY_NATIVE
from tests.support.scenario import RAY_VERSION, play


def test_each_address_form_leads_to_its_cluster(ray_head: RayHead) -> None:
    # One process for all of them: a native connection after a client one, and the reverse.
    told = play(
        """
        import ray
        rounds = []
        for address in sys.argv[1:]:
            ok = ensure_ray_initialized(address)
            rounds.append({
                "ok": ok,
                "task": ray.get(ray.remote(lambda: 42).remote()),
                "namespace": namespace(),
                "held": held(),
                "info": get_connection_info(),
                "cluster": get_ray_cluster_info(),
                "available": is_ray_available(),
                "again": ensure_ray_initialized(address),
            })
            shutdown_ray()
            rounds[-1]["after"] = [ray.is_initialized(), held()["state"], is_connected()]
        report(rounds=rounds, said=[logged(level) for level in ("INFO", "WARNING", "ERROR")])
        """,
        ray_head.gcs_address,
        ray_head.client_address,
        "auto",
        ray_head.client_address,
        RAY_TMPDIR=str(ray_head.directory),
    )
    modes = ["native", "client", "native", "client"]
    addresses = [ray_head.gcs_address, ray_head.client_address, ray_head.auto_address]
    addresses.append(ray_head.client_address)
    for number, (mode, address, each) in enumerate(
        zip(modes, addresses, told["rounds"], strict=True)
    ):
        assert each["ok"] and each["again"] and each["available"] and each["task"] == 42
        held = each["held"]
        assert (held["state"], held["mode"], held["address"]) == ("connected", mode, address)
        assert (held["address_source"], held["namespace_source"]) == ("argument", "default")
        assert held["generation"] == number + 1 and held["ray_version"] == RAY_VERSION
        assert (held["cluster_id"] is not None) == (mode == "native")
        assert each["namespace"] == held["namespace"] == "seedcore-dev"
        info = each["info"]
        assert info["status"] == "connected" and info["address"] == address
        assert info["namespace"] == "seedcore-dev" and info["ray_version"] == RAY_VERSION
        assert len(info["node_id"]) == 56
        assert info["cluster_resources"]["CPU"] == 2.0
        cluster = each["cluster"]
        assert cluster["status"] == "available" and cluster["nodes"] == 1
        assert cluster["cluster_resources"]["CPU"] == 2.0
        assert cluster["available_resources"].keys() <= cluster["cluster_resources"].keys()
        assert each["after"] == [False, "idle", False]
    infos, warnings, errors = told["said"]
    assert [line.split(" ")[0] for line in infos] == ["connected", "disconnected"] * 4
    assert (warnings, errors) == ([], [])


def test_local_starts_a_cluster_on_purpose() -> None:
    told = play(
        """
        ok = ensure_ray_initialized("local", num_cpus=1, include_dashboard=False)
        import ray
        report(
            ok=ok, task=ray.get(ray.remote(lambda: 42).remote()), namespace=namespace(),
            held=held(), available=is_ray_available(), info=get_ray_cluster_info(),
            again=ensure_ray_initialized("local"), default=ensure_ray_initialized(),
        )
        shutdown_ray()
        report(warnings=logged("WARNING"), after=held()["state"])
        """,
        deadline_s=110,
        SEEDCORE_RAY_INIT_TIMEOUT_S="60",  # it starts a whole head
    )
    assert told["ok"] and told["task"] == 42 and told["namespace"] == "seedcore-dev"
    assert told["held"]["mode"] == "native" and told["held"]["address"] == "local"
    assert told["available"] and told["info"]["cluster_resources"]["CPU"] == 1.0
    assert told["again"] and told["default"] and told["warnings"] == []
    assert told["after"] == "idle"


# namespace argument, environment, the namespace and where it came from
_NAMESPACES: tuple[tuple[dict[str, str | None], dict[str, str], str | None, str], ...] = (
    ({}, {}, "seedcore-dev", "default"),
    ({"ray_namespace": "mine"}, {"SEEDCORE_NS": "env"}, "mine", "argument"),
    ({}, {"SEEDCORE_NS": "env", "RAY_NAMESPACE": "ray"}, "env", "SEEDCORE_NS"),
    ({}, {"RAY_NAMESPACE": "ray"}, "ray", "RAY_NAMESPACE"),
    ({"ray_namespace": None}, {"RAY_NAMESPACE": "ray"}, "ray", "RAY_NAMESPACE"),
    ({"ray_namespace": None}, {"SEEDCORE_NS": "  "}, None, "argument"),
    ({"ray_namespace": "seedcore-dev"}, {"SEEDCORE_NS": "env"}, "seedcore-dev", "argument"),
)


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_the_namespace_is_in_force_and_its_source_told(ray_head: RayHead, mode: str) -> None:
    cases = _NAMESPACES if mode == "native" else _NAMESPACES[2:6]
    told = play(
        """
        import ray, json
        rounds = []
        for kwargs, env in json.loads(sys.argv[2]):
            os.environ.update(env)
            ok = ensure_ray_initialized(sys.argv[1], **kwargs)
            rounds.append([ok, namespace(), held()["namespace"], held()["namespace_source"],
                           logged("INFO", "connected to")[-1]])
            shutdown_ray()
            for name in env:
                del os.environ[name]
        report(rounds=rounds)
        # A name is found in the namespace it was given in.
        ensure_ray_initialized(sys.argv[1], "last")
        actor = ray.remote(type("Actor", (), {"ping": lambda self: 42}))
        kept = actor.options(name="somebody", num_cpus=0).remote()
        found = ray.get_actor("somebody", namespace="last")
        report(found=ray.get(found.ping.remote()))
        """,
        ray_head.gcs_address if mode == "native" else ray_head.client_address,
        json.dumps([case[:2] for case in cases]),
        deadline_s=90,
    )
    for (_, _, namespace, source), got in zip(cases, told["rounds"], strict=True):
        ok, real, believed, told_source, line = got
        assert ok and believed == namespace and told_source == source
        if namespace is None:
            assert len(real) == 36, "Ray's anonymous namespace is a UUID"
            assert "(anonymous)" in line
        else:
            assert real == namespace
            assert f"namespace {namespace} (from {source})" in line
    assert told["found"] == 42


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_init_kwargs_reach_ray_and_what_ray_refuses_leaves_nothing(
    ray_head: RayHead, mode: str
) -> None:
    address, other = ray_head.gcs_address, ray_head.client_address
    if mode == "client":
        address, other = other, address
    told = play(
        """
        import ray
        address, other = sys.argv[1:]
        refused = ensure_ray_initialized(address, num_cpus=3)
        report(refused=refused, error=error(), errors=logged("ERROR"), state=held()["state"],
               half_made=ray.is_initialized())
        report(then_other=ensure_ray_initialized(other), other_mode=held()["mode"],
               no_error=error(), other_task=ray.get(ray.remote(lambda: 42).remote()))
        shutdown_ray()
        ok = ensure_ray_initialized(address, runtime_env={"env_vars": {"ASKED": "for"}})
        report(ok=ok, env=ray.get(ray.remote(lambda: __import__("os").environ["ASKED"]).remote()))
        """,
        address,
        other,
        deadline_s=90,
    )
    assert told["refused"] is False and told["state"] == "failed" and not told["half_made"]
    error = told["error"]
    assert error["kind"] == "init_failed" and error["address"] == address and error["hint"]
    assert "num_cpus" in error["message"], "Ray's own words"
    assert len(told["errors"]) == 1 and "num_cpus" in told["errors"][0]
    assert told["then_other"] and told["other_task"] == 42 and told["no_error"] is None
    assert told["other_mode"] == ("client" if mode == "native" else "native")
    assert told["ok"] and told["env"] == "for"


@pytest.mark.parametrize(
    ("call", "raised", "words"),
    [
        ("ensure_ray_initialized(5)", "TypeError", "ray_address"),
        ("ensure_ray_initialized(ray_namespace=b'x')", "TypeError", "ray_namespace"),
        ("ensure_ray_initialized(connect_timeout_s=-1)", "ValueError", "connect_timeout_s"),
        ("ensure_ray_initialized(connect_timeout_s=float('nan'))", "ValueError", "timeout"),
        ("ensure_ray_initialized(connect_timeout_s=float('inf'))", "ValueError", "timeout"),
        ("ensure_ray_initialized(connect_timeout_s=10**400)", "ValueError", "timeout"),
        ("ensure_ray_initialized(connect_timeout_s='1')", "TypeError", "connect_timeout_s"),
        ("ensure_ray_initialized(connect_timeout_s=True)", "TypeError", "connect_timeout_s"),
        ("ensure_ray_initialized(address='auto')", "TypeError", "ray_address"),
        ("ensure_ray_initialized(namespace='x')", "TypeError", "ray_namespace"),
        ("ensure_ray_initialized(None, None, False, 5)", "TypeError", "positional"),
        ("wait_for_ray_ready('soon')", "TypeError", "max_wait_seconds"),
        ("wait_for_ray_ready(-1)", "ValueError", "max_wait_seconds"),
    ],
)
def test_a_mistake_in_the_call_is_raised(call: str, raised: str, words: str) -> None:
    names = {**vars(ray_utils), **vars(ray_connector)}
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        eval(call, names)
    assert type(caught.value).__name__ == raised
