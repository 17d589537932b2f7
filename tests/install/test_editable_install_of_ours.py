"""Failure mode: `pip install -e .` of this project leaves out the hook or loses its `.pth`."""

import os
import shutil
from pathlib import Path

import pytest

from .environments import PROJECT, Build


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """This project's Python side, copied; its Rust side in place, so that cargo has nothing to do.

    An editable install puts the extension module into the tree, where one may be in use.
    """
    root = tmp_path / "checkout"
    root.mkdir()
    for name in ("python", "data"):
        shutil.copytree(
            PROJECT / name, root / name, ignore=shutil.ignore_patterns("*.so", "__pycache__")
        )
    for name in ("README.md", "LICENSE", "THIRD-PARTY-LICENSES.txt"):
        shutil.copy(PROJECT / name, root)
    text = (PROJECT / "pyproject.toml").read_text()
    manifest = f'[tool.maturin]\nmanifest-path = "{PROJECT / "Cargo.toml"}"'
    (root / "pyproject.toml").write_text(text.replace("[tool.maturin]", manifest))
    return root


@pytest.mark.soak
@pytest.mark.timeout(800)  # cargo has all to do where HOME is not what it was at the build
def test_editable_install_serves_the_files_of_the_checkout(
    fresh: Build, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "CARGO_TARGET_DIR", os.environ.get("CARGO_TARGET_DIR", str(PROJECT / "target"))
    )
    environment = fresh("host")
    environment.install("--editable", checkout)
    code, text = environment.which()
    assert code == 0, text
    assert str(checkout / "python/seedcore_ray/_facades/ray_utils.py") in text
    names = {file.name for file in environment.site.glob("*seedcore_ray*.pth")}
    assert names == {"seedcore_ray.pth", "seedcore_ray_hook.pth"}

    environment.pip("uninstall", "--yes", "seedcore-ray")
    assert not list(environment.site.glob("*seedcore_ray*"))
    owner = "import json, seedcore.utils.ray_utils as m; print(json.dumps(m.OWNER))"
    assert environment.says(owner) == "host"
