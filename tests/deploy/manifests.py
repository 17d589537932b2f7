"""The files of ``deploy/``, as the tests look at them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
COMPOSE = ROOT / "deploy" / "compose" / "compose.yaml"
DOCKERFILE = ROOT / "deploy" / "compose" / "Dockerfile"

Resource = dict[str, Any]


def resources() -> list[Resource]:
    """All that ``kubectl apply -k`` would send, in order."""
    names = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    return [
        found for name in names for found in yaml.safe_load_all((KUBERNETES / name).read_text())
    ]


def resource(kind: str, name: str) -> Resource:
    """The one of that kind and name."""
    (found,) = (r for r in resources() if (r["kind"], r["metadata"]["name"]) == (kind, name))
    return found


def ray_service() -> Resource:
    """The RayService."""
    return resource("RayService", "seedcore-svc")


def ray_groups() -> list[Resource]:
    """Its head group and its worker groups."""
    cluster = ray_service()["spec"]["rayClusterConfig"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def client_pods() -> dict[str, Resource]:
    """The pods that are clients of Ray, by the name of their Deployment."""
    deployments = [r for r in resources() if r["kind"] == "Deployment"]
    return {r["metadata"]["name"]: r["spec"]["template"]["spec"] for r in deployments}


def containers(pod: Resource) -> list[Resource]:
    """Every container of a pod, those that run first included."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def environment(container: Resource) -> dict[str, str]:
    """What Kubernetes would put into that container's environment."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= resource("ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container.get("env", []):
        if "value" in variable:
            found[variable["name"]] = variable["value"]
        else:
            assert variable["valueFrom"] == {"fieldRef": {"fieldPath": "metadata.namespace"}}
            found[variable["name"]] = ray_service()["metadata"]["namespace"]
    return found


def compose() -> Resource:
    """The Compose file."""
    loaded: Resource = yaml.safe_load(COMPOSE.read_text())
    return loaded


def commands() -> Iterator[list[str]]:
    """Every command line of ours that some container runs."""
    lines: list[list[str]] = []
    for pod in client_pods().values():
        for container in containers(pod):
            lines.append(container.get("command", []))
            probes = ("startupProbe", "livenessProbe", "readinessProbe")
            lines += [container.get(p, {}).get("exec", {}).get("command", []) for p in probes]
    for service in compose()["services"].values():
        lines += [service.get("entrypoint", []), service.get("healthcheck", {}).get("test", [])[1:]]
    return (line for line in lines if line[:1] == ["seedcore-ray"])
