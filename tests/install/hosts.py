"""The host: a service's own package `seedcore`, still with its old modules, in several layouts."""

import zipfile
from pathlib import Path

OLD = (
    'OWNER = "host"\n\n\ndef ensure_ray_initialized():\n    """Old.\n\n    >>> 1\n    1\n    """\n'
)

PACKAGE = {
    "__init__.py": 'OWNER = "host"\n',
    "utils/__init__.py": 'OWNER = "host"\n',
    "utils/ray_utils.py": OLD,
    "utils/ray_connector.py": OLD,
    "utils/other.py": 'OWNER = "host"\n',
    "agents/__init__.py": "",
    "agents/worker.py": (
        "from seedcore.utils.ray_utils import ensure_ray_initialized as absolute\n"
        "from ..utils.ray_utils import ensure_ray_initialized as relative\n"
        "from ..utils import ray_connector\n"
    ),
}

PYPROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "seedcore"
version = "1.0"

[tool.setuptools.packages.find]
where = ["{where}"]
include = ["seedcore*"]
"""


def package(folder: Path, *, without: tuple[str, ...] = ()) -> Path:
    """Write the host package below `folder`, but for the files in `without`; returns `folder`."""
    for name, text in PACKAGE.items():
        if name not in without:
            file = folder / "seedcore" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    return folder


def namespace_package(folder: Path) -> Path:
    """The host as a namespace package: no `__init__.py` at the top."""
    return package(folder, without=("__init__.py",))


def package_without_utils(folder: Path) -> Path:
    """A host that has `seedcore`, but nothing called `utils` in it."""
    utils = tuple(name for name in PACKAGE if name.startswith("utils/"))
    return package(folder, without=utils)


def zipped(folder: Path) -> Path:
    """The host in a zip file; returns that file."""
    file = folder / "host.zip"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in PACKAGE.items():
            archive.writestr(f"seedcore/{name}", text)
    return file


def flat_project(folder: Path) -> Path:
    """A setuptools project with `seedcore/` at its root."""
    return _project(folder, ".")


def src_project(folder: Path) -> Path:
    """A setuptools project with `src/seedcore/`."""
    return _project(folder, "src")


def _project(folder: Path, where: str) -> Path:
    package(folder / where)
    (folder / "pyproject.toml").write_text(PYPROJECT.format(where=where))
    return folder
