"""Failure mode: the served modules are ours, but do not act as ordinary modules of their names."""

from pathlib import Path

import pytest

from .environments import Build, Environment

# Each program prints true. The host, where there is one, is on PYTHONPATH.
PROGRAMS = {
    "names": """
import seedcore.utils, seedcore.utils.ray_utils as m
ok = m.__name__ == m.__spec__.name == "seedcore.utils.ray_utils"
ok &= m.__package__ == m.__spec__.parent == "seedcore.utils" and seedcore.utils.ray_utils is m
ok &= m.__file__ == m.__spec__.origin and m.get_serve_urls.__module__ == m.__name__
""",
    "source": """
import inspect, linecache
import seedcore.utils.ray_utils as m
ok = "def get_serve_urls" in inspect.getsource(m.get_serve_urls) and bool(m.__doc__)
""",
    "reload recomputes the URLs and keeps the module": """
import importlib, os
import seedcore.utils.ray_utils as m
old, connect = m.SERVE_GATEWAY, m.ensure_ray_initialized
os.environ["SERVE_GATEWAY"] = "http://other:8000"
kept = m.SERVE_GATEWAY
again = importlib.reload(m)
ok = again is m and (old, kept) == ("http://gw:9000",) * 2
ok &= m.SERVE_GATEWAY == "http://other:8000"
ok &= m.ensure_ray_initialized is connect
""",
    "pop and import recomputes the URLs": """
import os, sys
import seedcore.utils.ray_utils as m
m.ML
os.environ["SERVE_GATEWAY"] = "http://other:8000"
del sys.modules["seedcore.utils.ray_utils"]
import seedcore.utils.ray_utils as n
ok = n is not m and n.ML == "http://other:8000/ml" and m.ML == "http://gw:9000/ml"
ok &= n.ensure_ray_initialized is m.ensure_ray_initialized
""",
    "refresh updates the four URLs": """
import os
import seedcore.utils.ray_utils as m
m.ORG
os.environ["SERVE_GATEWAY"] = "http://other:8000"
urls = m.refresh_gateway_and_paths()
ok = (m.SERVE_GATEWAY, m.ML, m.COG, m.ORG) == tuple(
    "http://other:8000" + path for path in ("", "/ml", "/cognitive", "/organism"))
ok &= urls == m.get_serve_urls() and urls["ml_root"] == "http://other:8000/ml/"
""",
    "URLs wait for their first reader": """
import seedcore.utils.ray_utils as m
before = set(vars(m)) & {"SERVE_GATEWAY", "ML", "COG", "ORG"}
m.COG
ok = not before and {"SERVE_GATEWAY", "ML", "COG", "ORG"} <= set(vars(m))
""",
    "star import and dir": """
import seedcore.utils.ray_utils as m, seedcore.utils.ray_connector as c
from seedcore.utils.ray_utils import *
ok = set(m.__all__) <= set(dir(m)) and set(c.__all__) <= set(dir(c))
ok &= set(m.__all__) <= set(globals()) and ML == "http://gw:9000/ml"
ok &= not hasattr(m, "nonsense") and test_ray_connection.__test__ is False
""",
    "constants": """
import seedcore.utils.ray_utils as m
ok = {n: getattr(m, n) for n in dir(m) if n.startswith(("ENV_", "DEFAULT_"))} == {
    "DEFAULT_SERVE_PORT": 8000, "DEFAULT_RAY_PORT": 10001, "DEFAULT_API_NS_ENV": "SEEDCORE_NS",
    "ENV_SERVE_GATEWAY": "SERVE_GATEWAY", "ENV_RAY_ADDRESS": "RAY_ADDRESS",
    "ENV_SERVE_BASE": "SERVE_BASE_PATH", "ENV_COG_BASE": "COG_BASE_PATH",
    "ENV_ORG_BASE": "ORG_BASE_PATH", "ENV_SERVE_SERVICE": "SERVE_SERVICE",
    "ENV_POD_NAMESPACE": "POD_NAMESPACE",
}
""",
    "pickle by reference": """
import pickle
import seedcore.utils.ray_utils as m
functions = [m.get_serve_urls, m.refresh_gateway_and_paths, m.ensure_ray_initialized]
pickles = [pickle.dumps(f) for f in functions]
ok = [pickle.loads(p) for p in pickles] == functions and b"seedcore.utils.ray_utils" in pickles[0]
""",
    "mock.patch by dotted name": """
from unittest import mock
with mock.patch("seedcore.utils.ray_utils.ensure_ray_initialized", return_value="fake"):
    from seedcore.utils.ray_utils import ensure_ray_initialized as patched
    ok = patched() == "fake"
import seedcore.utils.ray_utils as m
ok &= m.ensure_ray_initialized is not patched
with mock.patch("seedcore.utils.ray_utils.SERVE_GATEWAY", "http://fake:1"):
    ok &= m.ML == "http://gw:9000/ml" and m.get_serve_urls()["gateway"] == "http://fake:1"
ok &= m.SERVE_GATEWAY == "http://gw:9000"
""",
    "find_spec": """
import importlib.util
spec = importlib.util.find_spec("seedcore.utils.ray_connector")
ok = spec.origin.endswith("_facades/ray_connector.py") and spec.cached is not None
""",
    "import costs no ray, no asyncio, no thread": """
import sys, threading
import seedcore.utils.ray_utils, seedcore.utils.ray_connector
ok = not {"ray", "asyncio"} & set(sys.modules) and threading.active_count() == 1
""",
    "the connected call is not wrapped": """
import seedcore.utils.ray_utils as m
from seedcore_ray import _core
ok = m.ensure_ray_initialized is _core.ensure_ray_initialized
""",
    "spawned child": """
import multiprocessing
from seedcore.utils.ray_utils import get_serve_urls
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        ok = pool.apply(get_serve_urls)["gateway"] == "http://gw:9000"
""",
    "other modules of these names' family stay unknown": """
import importlib.util
ok = importlib.util.find_spec("seedcore.utils.ray_utilsx") is None
ok &= importlib.util.find_spec("seedcorex") is None
""",
}


@pytest.mark.parametrize("with_host", [False, True], ids=["no host", "host"])
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_module(
    ours: Environment, host: Path, tmp_path: Path, program: str, with_host: bool
) -> None:
    file = tmp_path / "program.py"
    file.write_text(f"{program}\nif __name__ == '__main__':\n    print(ok)\n")
    variables = {"SERVE_GATEWAY": "http://gw:9000"}
    if with_host:
        variables["PYTHONPATH"] = str(host)
    assert ours.run(file, variables=variables).stdout == "True\n"


@pytest.mark.parametrize("leaf", ["ray_utils", "ray_connector"])
def test_run_as_a_program(ours: Environment, host: Path, leaf: str) -> None:
    done = ours.run("-m", f"seedcore.utils.{leaf}", variables={"PYTHONPATH": str(host)})
    assert (done.stdout, done.stderr) == ("", "")


def test_host_that_comes_after_the_made_up_packages(
    fresh: Build, tmp_path: Path, host: Path
) -> None:
    """A finder appended behind ours (an editable host whose `.pth` sorts later) is not hidden."""
    environment = fresh("ours")
    (environment.site / "zz_late.py").write_text(f"""
import sys
from importlib.machinery import PathFinder

class Late:
    def find_spec(self, name, path=None, target=None):
        return PathFinder.find_spec(name, [{str(host)!r}]) if name == "seedcore" else None

sys.meta_path.append(Late())
""")
    (environment.site / "zz_late.pth").write_text("import zz_late\n")
    code = """
import json, seedcore, seedcore.utils.ray_utils as m
print(json.dumps([seedcore.OWNER, "_facades" in m.__file__]))
"""
    assert environment.says(code) == ["host", True]
