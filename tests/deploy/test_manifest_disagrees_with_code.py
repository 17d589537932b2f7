"""A deployment file that says one thing where the code, or another file, says another."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from seedcore_ray.fastapi import health_router
from tests.deploy.manifests import (
    DOCKERFILE,
    ROOT,
    client_pods,
    commands,
    compose,
    containers,
    environment,
    ray_groups,
    ray_service,
    resource,
    resources,
)
from tests.support import run_program

_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
_OURS = ("RAY_", "SEEDCORE_", "SERVE_", "POD_NAMESPACE")

# What a service in that environment would see: no cluster is there, all else is as deployed.
_LOOK = """
import logging, seedcore_ray
told = []
class Keep(logging.Handler):
    def emit(self, record):
        told.append(record.getMessage())
logging.getLogger("seedcore_ray").addHandler(Keep())
from seedcore.utils import ray_utils
ray_utils.ensure_ray_initialized(connect_timeout_s=0)
now, error = seedcore_ray.connection(), seedcore_ray.last_error()
report(told=told, kind=error.kind, address=now.address, gateway=ray_utils.SERVE_GATEWAY,
       paths=[getattr(ray_utils, name) for name in ("ML", "COG", "ORG")])
"""


@pytest.mark.parametrize("name", ["seedcore-api", "seedcore-worker"])
def test_settings_of_clients(name: str) -> None:
    pod = client_pods()[name]
    env = environment(pod["containers"][0])
    assert env["HOME"] == "/tmp" and _mounts(pod["containers"][0]) == {"tmp": "/tmp"}
    seen = run_program(_LOOK, env={k: v for k, v in env.items() if k != "HOME"}).ok().fields
    assert [line for line in seen["told"] if "cannot be used" in line] == []
    assert (seen["kind"], seen["address"]) == ("dns", "ray://seedcore-svc-stable-svc:10001")
    routes = _routes()
    assert seen["paths"] == [seen["gateway"] + routes[n] for n in ("ml", "cognitive", "organism")]
    # Its settings, and no more: what the wait reads is what the service reads.
    waiting = environment(pod["initContainers"][0])
    assert waiting.items() <= env.items() and "RAY_ADDRESS" in waiting


def test_every_variable_is_a_setting() -> None:
    pods = [*client_pods().values(), *(group["template"]["spec"] for group in ray_groups())]
    used = {
        name for pod in pods for container in containers(pod) for name in environment(container)
    }
    used |= {n for service in compose()["services"].values() for n in service["environment"]}
    explained = set(re.findall(r"`(\w+)`", (ROOT / "docs/settings.md").read_text()))
    ours = {name for name in used if name.startswith(_OURS)}
    assert ours - {"RAY_USAGE_STATS_ENABLED"} <= explained
    assert len(ours) > 5


def test_names_of_services() -> None:
    """The names that the library derives where it is told none."""
    service, stable = ray_service(), resource("Service", "seedcore-svc-stable-svc")
    namespace = service["metadata"]["namespace"]
    gateway = run_program(
        "from seedcore.utils import ray_utils; report(url=ray_utils.SERVE_GATEWAY)",
        env={"POD_NAMESPACE": namespace},
    )
    host = f"{stable['metadata']['name']}.{namespace}.svc.cluster.local"
    assert gateway.ok().fields["url"] == f"http://{host}:8000"
    # KubeRay names the head service of a RayService like that.
    head = f"{service['metadata']['name']}-head-svc.{namespace}.svc.cluster.local"
    assert stable["spec"] == {"type": "ExternalName", "externalName": head}
    assert {r["metadata"].get("namespace", namespace) for r in resources()} == {namespace}


def test_ray_pods_have_no_address() -> None:
    for group in ray_groups():
        for container in containers(group["template"]["spec"]):
            assert "RAY_ADDRESS" not in environment(container)
    head, *_ = ray_groups()
    assert environment(head["template"]["spec"]["containers"][0])["GRPC_ENABLE_FORK_SUPPORT"] == "0"
    assert _numbers(head["template"]["spec"]["containers"][0]) >= {6379, 8000, 8265, 10001}
    ray_head = compose()["services"]["ray-head"]
    assert "RAY_ADDRESS" not in ray_head["environment"]
    assert ray_head["environment"]["GRPC_ENABLE_FORK_SUPPORT"] == "0"


def test_ray_pods_start_no_cluster_of_their_own() -> None:
    inside = [environment(c) for g in ray_groups() for c in containers(g["template"]["spec"])]
    inside.append(compose()["services"]["ray-head"]["environment"])
    assert len(inside) >= 3
    assert {env.get("RAY_ENABLE_AUTO_CONNECT") for env in inside} == {"0"}


def test_probes_lead_somewhere() -> None:
    asked = set()
    for pod in client_pods().values():
        for container in containers(pod):
            named = {port["name"] for port in container.get("ports", [])}
            gets = [container[p]["httpGet"] for p in _PROBES if "httpGet" in container.get(p, {})]
            assert {get["port"] for get in gets} <= named
            asked |= {get["path"] for get in gets}
    assert asked == {"/livez", "/readyz"}


def test_probes_are_served() -> None:
    router = health_router(metrics=True)
    assert {"/livez", "/readyz", "/metrics"} <= {route.path for route in router.routes}


def test_commands_are_ours() -> None:
    lines = list(commands())
    assert {line[1] for line in lines} == {"wait", "health"}
    for _, command, *arguments in lines:
        shown = subprocess.run(
            [f"{sys.prefix}/bin/seedcore-ray", command, "--help"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert {a for a in arguments if a.startswith("-")} <= set(
            re.findall(r"--\w+", shown.stdout)
        )


def test_versions() -> None:
    """One Ray and one minor Python on both sides, or Ray refuses the client."""
    lock = (ROOT / "requirements/test.txt").read_text()
    (tested,) = set(re.findall(r"(?m)^ray==([\d.]+)", lock))
    images = {c["image"] for g in ray_groups() for c in containers(g["template"]["spec"])}
    images.add(compose()["services"]["ray-head"]["image"])
    (image,) = images
    assert ray_service()["spec"]["rayClusterConfig"]["rayVersion"] == tested
    dockerfile = DOCKERFILE.read_text()
    (client,) = re.findall(r"ray\[client\]==([\d.]+)", dockerfile)
    major, minor = re.findall(r"FROM python:(\d+)\.(\d+)", dockerfile)[0]
    assert client == tested
    assert image == f"rayproject/ray:{tested}-py{major}{minor}"


def test_image_holds_what_is_there() -> None:
    dockerfile = DOCKERFILE.read_text()
    sources = re.findall(r"(?m)^COPY (\S+) ", dockerfile)
    assert sources[0] == "dist/test/*.whl"  # where make build leaves it
    assert Path(ROOT, sources[1]).is_dir()
    (module,) = re.findall(r'"([\w.]+):app"', dockerfile)
    assert Path(ROOT, f"{module.replace('.', '/')}.py").is_file()


def _mounts(container: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}


def _numbers(container: dict[str, list[dict[str, int]]]) -> set[int]:
    return {port["containerPort"] for port in container["ports"]}


def _routes() -> dict[str, str]:
    applications = yaml.safe_load(ray_service()["spec"]["serveConfigV2"])["applications"]
    return {application["name"]: application["route_prefix"] for application in applications}
