"""What we set is this process's own: its children do not inherit it."""

from __future__ import annotations

from seedcore_ray.testing import RayHead
from tests.support.scenario import play


def test_children_keep_rays_auto_connect(ray_head: RayHead) -> None:
    told = play(
        """
import subprocess
before = dict(os.environ)
assert ensure_ray_initialized(os.environ["RAY_ADDRESS"]), error()  # ray was not imported before
child = "import ray; print(ray.get(ray.put(1)))"
ran = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True)
from ray._private import auto_init_hook
# Ray and gRPC set variables of their own.
mine = ("RAY_ENABLE", "SEEDCORE")
ours = {name for name in os.environ if name.startswith(mine) and name not in before}
report(printed=ran.stdout, stderr=ran.stderr[-500:], ours=sorted(ours),
       here=auto_init_hook.enable_auto_connect)
""",
        RAY_ADDRESS=ray_head.gcs_address,
    )
    assert told["printed"] == "1\n", told["stderr"]
    assert told["ours"] == [] and told["here"] is False
