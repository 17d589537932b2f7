"""Children that ``multiprocessing`` starts without a fork of the connected process."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support.scenario import play

# A child imports its target by name: a module of its own, beside the program.
_CHILD = '''
from pathlib import Path
Path("child.py").write_text("""
import os

def work():
    import ray
    import seedcore_ray
    from seedcore.utils.ray_utils import ensure_ray_initialized

    before = seedcore_ray.connection().state
    ok = ensure_ray_initialized()
    return {
        "before": before,
        "ok": ok,
        "error": str(seedcore_ray.last_error()),
        "made": ok and ray.get(ray.remote(lambda: 42).remote()),
        "pid": os.getpid(),
    }
""")
sys.path.insert(0, os.getcwd())
import multiprocessing
import child

def children(context):
    with context.Pool(1) as pool:
        return pool.apply(child.work)
'''


def test_children_of_both_kinds_connect_for_themselves(ray_head: RayHead) -> None:
    """The fork server is older than the connection."""
    told = play(
        f"""
{_CHILD}
import multiprocessing.forkserver
from contextlib import ExitStack
import ray
if __name__ == "__main__":
    multiprocessing.forkserver.ensure_running()
    connected = ensure_ray_initialized()
    with ExitStack() as until:
        pools = [until.enter_context(multiprocessing.get_context(method).Pool(1))
                 for method in ("spawn", "forkserver")]
        told = [pool.apply_async(child.work) for pool in pools]
        made = ray.get(ray.remote(lambda: 42).remote())
        report(children=[one.get(50) for one in told], parent=[connected, made], pid=os.getpid())
""",
        RAY_ADDRESS=ray_head.gcs_address,
    )
    _held(told)


@pytest.mark.soak
@pytest.mark.parametrize("preload", ["", "ray seedcore_ray child"])
def test_a_connected_process_starts_the_fork_server(ray_head: RayHead, preload: str) -> None:
    """It is a fresh process, whatever it loads."""
    told = play(
        f"""
{_CHILD}
import ray
if __name__ == "__main__":
    connected = ensure_ray_initialized()
    made = ray.get(ray.remote(lambda: 42).remote())
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(sys.argv[1:])
    report(children=[children(context)], parent=[connected, made], pid=os.getpid())
""",
        *preload.split(),
        RAY_ADDRESS=ray_head.gcs_address,
    )
    _held(told)


@pytest.mark.soak
def test_the_fork_server_serves_before_and_after_the_connect(ray_head: RayHead) -> None:
    told = play(
        f"""
{_CHILD}
import ray
if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    before = children(context)
    connected = ensure_ray_initialized()
    after = children(context)
    made = ray.get(ray.remote(lambda: 42).remote())
    report(children=[before, after], parent=[connected, made], pid=os.getpid())
""",
        RAY_ADDRESS=ray_head.gcs_address,
    )
    _held(told)


def _held(told: dict[str, object]) -> None:
    children = told["children"]
    assert isinstance(children, list)
    for child in children:
        assert (child["before"], child["ok"], child["made"]) == ("idle", True, 42), child
    assert len({told["pid"], *(child["pid"] for child in children)}) == len(children) + 1
    assert told["parent"] == [True, 42]
