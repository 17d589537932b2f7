"""The SBOM in a wheel: maturin writes it, this makes it the same wherever the wheel was built.

maturin has cargo-cyclonedx list the crates of all machines at once, under a random serial number
and with the path of the project.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import subprocess
import uuid
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Document = dict[str, Any]
# Of our own: a serial number that follows from what the document says.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://pypi.org/project/seedcore-ray/#sbom")


def settle(wheel: Path, root: Path, triple: str | None) -> None:
    """Rewrite the SBOM of `wheel`, built in `root` for that machine; None is this one."""
    with zipfile.ZipFile(wheel) as archive:
        contents = {entry: archive.read(entry) for entry in archive.infolist()}
    for entry, content in contents.items():
        if ".dist-info/sboms/" in entry.filename:
            document = settled(json.loads(content), crates(root, triple))
            contents[entry] = json.dumps(document, indent=1).encode()
            _replace_record(contents, entry.filename, contents[entry])
    # One end of the process between two writes must not leave half a wheel under its name.
    new = wheel.with_suffix(".new")
    with zipfile.ZipFile(new, "w") as archive:
        for entry, content in contents.items():
            archive.writestr(entry, content)
    new.replace(wheel)


def crates(root: Path, triple: str | None) -> set[tuple[str, str]]:
    """Name and version of all that is compiled in `root` for that machine, build scripts too."""
    platform = triple or _host()
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--features", "python"]
    asked = subprocess.run(
        [*command, "--filter-platform", platform], cwd=root, capture_output=True, check=True
    )
    packages = json.loads(asked.stdout)["packages"]
    return {(package["name"], package["version"]) for package in packages}


def settled(document: Document, known: set[tuple[str, str]]) -> Document:
    """The same with only the crates that are `known`, without time, chance or place."""
    listed = [one for one in document["components"] if (one["name"], one["version"]) in known]
    own = document["metadata"]["component"]
    own.pop("components", None)
    own["purl"] = f"pkg:cargo/{own['name']}@{own['version']}"
    names = {own["bom-ref"]: own["purl"]} | {one["bom-ref"]: one["purl"] for one in listed}
    for one in (own, *listed):
        one["bom-ref"] = names[one["bom-ref"]]
    for changing in ("serialNumber", "timestamp", "properties"):
        document.pop(changing, None)
        document["metadata"].pop(changing, None)
    document["components"] = sorted(listed, key=lambda one: str(one["bom-ref"]))
    document["dependencies"] = _graph(document["dependencies"], names)
    said = json.dumps(document, sort_keys=True)
    return {"serialNumber": uuid.uuid5(_NAMESPACE, said).urn, **document}


def _graph(dependencies: list[Document], names: Mapping[str, str]) -> list[Document]:
    """Who needs whom, by the new names and only among those."""
    graph = []
    for one in dependencies:
        if one["ref"] in names:
            needed = sorted(names[ref] for ref in one.get("dependsOn", []) if ref in names)
            graph.append({"ref": names[one["ref"]], "dependsOn": needed})
    return sorted(graph, key=lambda one: str(one["ref"]))


def _replace_record(contents: dict[zipfile.ZipInfo, bytes], name: str, content: bytes) -> None:
    """Write the hash and size of `name` into RECORD, which pip holds it to."""
    (record,) = (entry for entry in contents if entry.filename.endswith(".dist-info/RECORD"))
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    for row in csv.reader(io.StringIO(contents[record].decode())):
        writer.writerow([name, f"sha256={digest}", len(content)] if row[0] == name else row)
    contents[record] = lines.getvalue().encode()


def _host() -> str:
    told = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    return next(line.split()[1] for line in told.splitlines() if line.startswith("host:"))
