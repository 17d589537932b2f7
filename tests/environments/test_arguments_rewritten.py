"""Ray writes into the arguments it is given: the caller's own stay as they were."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support.modes import MOSTLY_NATIVE
from tests.support.scenario import play, start

_TASK = """
import copy, pathlib, ray, tempfile
app = pathlib.Path(tempfile.mkdtemp())
(app / "data.txt").write_text("x")
(app / "large.bin").write_text("b")
(app / "module").mkdir()
(app / "module" / "__init__.py").write_text("answer = 42")
def hook():
    os.environ["HOOKED"] = "1"
@ray.remote
def read():
    import module
    seen = [open("data.txt").read(), sorted(os.listdir(".")), module.answer]
    return [*seen, os.environ.get("A"), os.environ.get("HOOKED")]
def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else repr(value)
env = {"working_dir": str(app), "excludes": ["*.bin"], "py_modules": [str(app / "module")],
       "env_vars": {"A": "1"}}
"""
_ENVIRONMENTS = {
    "dict": "kwargs = {'runtime_env': env}",
    # RuntimeEnv knows no `excludes`, and in older Rays no local `py_modules`.
    "RuntimeEnv": "del env['excludes'], env['py_modules']\n"
    "env = ray.runtime_env.RuntimeEnv(**env)\n"
    "kwargs = {'runtime_env': env}",
    "JobConfig": "env['worker_process_setup_hook'] = hook\n"
    "job = ray.job_config.JobConfig(runtime_env=env, metadata={'a': 'b'})\n"
    "kwargs = {'job_config': job}",
}


@pytest.mark.parametrize(
    ("mode", "environment"),
    [
        # Ray Client itself takes neither a JobConfig nor a callable as hook.
        ("client", "RuntimeEnv"),
        pytest.param("native", "JobConfig", marks=pytest.mark.soak),
        pytest.param("native", "dict", marks=pytest.mark.soak),
        pytest.param("native", "RuntimeEnv", marks=pytest.mark.soak),
        pytest.param("client", "dict", marks=pytest.mark.soak),
    ],
)
def test_each_connect_uploads_anew_and_changes_nothing(
    ray_head: RayHead, mode: str, environment: str
) -> None:
    told = play(
        _TASK
        + _ENVIRONMENTS[environment]
        + """
job = kwargs.get("job_config")
def seen():
    return [plain(env), plain(vars(job)) if job else None]
before = seen()
for how in ("first", "forced", "renewed"):
    if how == "renewed":
        ray.shutdown()
        kwargs = {}
        assert ensure_ray_initialized()
    else:
        assert ensure_ray_initialized(sys.argv[1], force_reinit=how == "forced", **kwargs), error()
    report(**{how: ray.get(read.remote(), timeout=60)})
report(same=before == seen(), before=before, after=seen())
""",
        ray_head.gcs_address if mode == "native" else ray_head.client_address,
        deadline_s=120,
    )
    listing = ["data.txt", "module"]
    if environment == "RuntimeEnv":
        listing.insert(1, "large.bin")
    expected = ["x", listing, 42, "1", "1" if environment == "JobConfig" else None]
    assert [told["first"], told["forced"], told["renewed"]] == [expected] * 3
    assert told["same"], (told["before"], told["after"])


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_a_reconnect_uploads_to_the_new_head(own_head: RayHead, mode: str) -> None:
    address = own_head.gcs_address if mode == "native" else own_head.client_address
    with start(
        _TASK
        + """
os.environ["SEEDCORE_RAY_HEALTH_INTERVAL_S"] = "0.5"
os.environ["SEEDCORE_RAY_LOSS_GRACE_S"] = "1"
assert ensure_ray_initialized(sys.argv[1], runtime_env=env), error()
env.clear()  # the caller may do with its own what it likes
report(first=ray.get(read.remote(), timeout=60))
mark("connected")
input()
end = time.monotonic() + 90
while seedcore_ray.generation() < 2 and time.monotonic() < end:
    time.sleep(0.05)
report(again=ray.get(read.remote(), timeout=60))
""",
        address,
    ) as program:
        program.wait_for_mark("connected")
        own_head.restart()
        program.tell("restarted")
        told = program.finish(150).ok().fields
    assert told["first"] == told["again"] and told["again"][0] == "x"
