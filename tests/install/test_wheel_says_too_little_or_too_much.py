"""Failure mode: nobody can tell what a wheel is made of, or it tells where it was built."""

import base64
import copy
import csv
import hashlib
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from release import sbom

from .environments import PROJECT


@pytest.fixture(scope="module")
def files(wheel: Path) -> dict[str, bytes]:
    """What is in our wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _one(files: dict[str, bytes], end: str) -> str:
    (found,) = (name for name in files if name.endswith(end))
    return files[found].decode()


def _crates(*edges: str) -> set[tuple[str, str]]:
    """Name and version of what Cargo.lock has us compile for this machine."""
    command = ["cargo", "tree", "--locked", "--features", "python", "--edges", ",".join(edges)]
    told = subprocess.run(
        [*command, "--prefix", "none"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return set(re.findall(r"(?m)^(\S+) v(\S+)", told.stdout)) - {("seedcore-ray", "0.1.0")}


def test_list_of_crates_is_valid_and_complete(files: dict[str, bytes]) -> None:
    text = _one(files, ".dist-info/sboms/seedcore-ray.cyclonedx.json")
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(text) is None
    listed = json.loads(text)["components"]
    crates = {(one["name"], one["version"]) for one in listed}
    assert {"pyo3", "tokio"} <= {name for name, _ in crates}
    assert crates >= _crates("normal", "build")
    assert all(one["licenses"] for one in listed)
    assert not {name for name, _ in crates if name.startswith("windows")}


def _document(place: str, chance: str) -> dict[str, Any]:
    own = f"path+file://{place}#seedcore-ray@0.1.0"
    tokio = {"bom-ref": "registry#tokio@1.0.0", "name": "tokio", "version": "1.0.0"}
    windows = {"bom-ref": "registry#windows@1.0.0", "name": "windows", "version": "1.0.0"}
    component = {"bom-ref": own, "name": "seedcore-ray", "version": "0.1.0"}
    return {
        "serialNumber": f"urn:uuid:{chance}",
        "metadata": {"timestamp": chance, "component": component | {"purl": f"pkg:{place}"}},
        "components": [
            tokio | {"purl": "pkg:cargo/tokio@1.0.0"},
            windows | {"purl": "pkg:cargo/windows@1.0.0"},
        ],
        "dependencies": [
            {"ref": own, "dependsOn": [tokio["bom-ref"], windows["bom-ref"]]},
            {"ref": windows["bom-ref"]},
        ],
    }


def test_list_of_crates_is_the_same_from_every_folder_at_every_time() -> None:
    known = {("tokio", "1.0.0")}
    here, there = (
        sbom.settled(_document(place, chance), known)
        for place, chance in (("/home/a", "1"), ("/srv/another", "2"))
    )
    assert here == there
    assert "/home/a" not in json.dumps(here)
    assert here["dependencies"] == [
        {"ref": "pkg:cargo/seedcore-ray@0.1.0", "dependsOn": ["pkg:cargo/tokio@1.0.0"]}
    ]
    assert sbom.settled(copy.deepcopy(here), known) == here
    other = sbom.settled(_document("/home/a", "1"), known | {("windows", "1.0.0")})
    assert other["serialNumber"] != here["serialNumber"]


def test_licences_of_all_that_is_linked_are_there(files: dict[str, bytes]) -> None:
    text = _one(files, ".dist-info/licenses/THIRD-PARTY-LICENSES.txt")
    heads = re.findall(r"(?m)^={80}\n[^\n]+\n\n((?: {4}[^\n]+\n)+)-{80}$", text)
    named = {line.split()[0] for head in heads for line in head.splitlines()}
    missing = {name for name, _ in _crates("normal")} - named
    assert not missing, "run make licenses"
    locked = set(re.findall(r'(?m)^name = "(.+)"$', (PROJECT / "Cargo.lock").read_text()))
    assert named <= locked, "run make licenses"


def test_record_is_true(files: dict[str, bytes]) -> None:
    rows = list(csv.reader(_one(files, ".dist-info/RECORD").splitlines()))
    assert {name for name, _, _ in rows} == set(files)
    for name, digest, size in rows:
        if digest:
            hashed = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest())
            assert digest == f"sha256={hashed.decode().rstrip('=')}", name
            assert int(size) == len(files[name])


def test_no_folder_of_this_machine_is_named(files: dict[str, bytes]) -> None:
    """Two machines could not build the same bytes, and a home has somebody's name."""
    for place in (PROJECT, Path.home() / ".cargo"):
        assert not [name for name, content in files.items() if f"{place}/".encode() in content]


def test_sdist_holds_what_a_build_needs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "maturin", "sdist", "--out", str(tmp_path)]
    subprocess.run(command, cwd=PROJECT, check=True)
    (archive,) = tmp_path.iterdir()
    with tarfile.open(archive) as sdist:
        tops = {name.split("/")[1] for name in sdist.getnames()}
    described = {"CHANGELOG.md", "LICENSE", "README.md", "THIRD-PARTY-LICENSES.txt", "PKG-INFO"}
    assert tops == described | {
        "Cargo.lock",
        "Cargo.toml",
        "data",
        "pyproject.toml",
        "python",
        "src",
    }
