"""What KubeRay accepts as a RayService: a JSON schema made from KubeRay's own CRD.

The CRD is not on PyPI. The crate ``kcr_ray_io`` on crates.io has it as Rust types, generated; this
writes them as a schema. What is Kubernetes' own in there (a pod template, a service) is referred
to, under the names that ``kubernetes-validate`` has for it. Run it again for another KubeRay::

    cargo info kcr_ray_io    # the newest version
    cargo add kcr_ray_io && cargo fetch    # in a scratch crate
    python -m tests.deploy.kuberay ~/.cargo/registry/src/*/kcr_ray_io-*/src/v1/rayservices.rs
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

SCHEMA = Path(__file__).with_name("rayservice.schema.json")

_DEFINITIONS = "/api/_definitions.json#/$defs/"
_KUBERNETES = {
    "env": "io.k8s.api.core.v1.EnvVar",
    "envFrom": "io.k8s.api.core.v1.EnvFromSource",
    "headService": "io.k8s.api.core.v1.Service",
    "metadata": "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    "resources": "io.k8s.api.core.v1.ResourceRequirements",
    "securityContext": "io.k8s.api.core.v1.SecurityContext",
    "serveService": "io.k8s.api.core.v1.Service",
    "template": "io.k8s.api.core.v1.PodTemplateSpec",
    "valueFrom": "io.k8s.api.core.v1.EnvVarSource",
    "volumeMounts": "io.k8s.api.core.v1.VolumeMount",
}
_PLAIN: dict[str, dict[str, Any]] = {
    "String": {"type": "string"},
    "bool": {"type": "boolean"},
    "i32": {"type": "integer"},
    "i64": {"type": "integer"},
    "IntOrString": {"type": ["integer", "string"]},
}
_ITEM = re.compile(r"^pub (struct|enum) (\w+) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"(?:#\[serde\(([^]]*)\)\]\s+)?pub (?:r#)?(\w+): (.+),")
_VARIANT = re.compile(r'(?:#\[serde\(rename = "([^"]*)"\)\]\s+)?(\w+),')


def schema(source: str) -> dict[str, Any]:
    """The schema of a whole RayService, from the crate's ``rayservices.rs``."""
    items = {name: (kind, body) for kind, name, body in _ITEM.findall(source)}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        # Beside the definitions of kubernetes-validate, so that references reach them.
        "$id": "https://kubernetes.io/api/rayservice/ray/v1",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
        "properties": {
            "apiVersion": {"const": "ray.io/v1"},
            "kind": {"const": "RayService"},
            "metadata": _reference("metadata"),
            "spec": _item(items, "RayServiceSpec"),
        },
    }


def _item(items: dict[str, tuple[str, str]], name: str) -> dict[str, Any]:
    kind, body = items[name]
    if kind == "enum":
        return {"enum": [renamed or variant for renamed, variant in _VARIANT.findall(body)]}
    properties: dict[str, Any] = {}
    required: list[str] = []
    for serde, field, written in _FIELD.findall(body):
        renamed = re.search(r'rename = "([^"]*)"', serde)
        key = renamed[1] if renamed else field
        properties[key] = _value(items, key, written.removeprefix("Option<"))
        if not written.startswith("Option<"):
            required.append(key)
    described = {"type": "object", "additionalProperties": False, "properties": properties}
    return described | ({"required": required} if required else {})


def _value(items: dict[str, tuple[str, str]], key: str, written: str) -> dict[str, Any]:
    if listed := re.match(r"Vec<(.*?)>", written):
        return {"type": "array", "items": _value(items, key, listed[1])}
    if mapped := re.match(r"BTreeMap<String, (.*?)>", written):
        return {"type": "object", "additionalProperties": _value(items, key, mapped[1])}
    name = written.rstrip(">")
    if name in _PLAIN:
        return _PLAIN[name]
    return _reference(key) if key in _KUBERNETES else _item(items, name)


def _reference(key: str) -> dict[str, Any]:
    return {"$ref": f"{_DEFINITIONS}{_KUBERNETES[key]}"}


if __name__ == "__main__":
    made = schema(Path(sys.argv[1]).read_text())
    SCHEMA.write_text(json.dumps(made, indent=1) + "\n")
