"""A ``runtime_env`` that takes its time to be built, as pip environments do.

A real one copies the whole environment of the head first, which takes minutes. Here `ray.init` is
what takes the time.
"""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support.scenario import play

_SLOW = """
import pathlib, ray, tempfile
env = {"working_dir": tempfile.mkdtemp()}
original = ray.init
def init(*args, **kwargs):
    time.sleep(4)
    return original(*args, **kwargs)
ray.init = init
"""


def test_the_timeout_of_the_caller_covers_it(ray_head: RayHead) -> None:
    told = play(
        _SLOW
        + """
ok = ensure_ray_initialized(runtime_env=env, connect_timeout_s=50)
report(ok=ok, error=error(), said=logged("ERROR"))
""",
        RAY_ADDRESS=ray_head.client_address,
        SEEDCORE_RAY_INIT_TIMEOUT_S="2",
    )
    assert told["ok"], told["error"]
    assert told["said"] == []


def test_what_takes_the_time_is_named_and_its_late_success_kept(ray_head: RayHead) -> None:
    told = play(
        _SLOW
        + """
first = ensure_ray_initialized(runtime_env=env)
report(first=first, kind=error()["kind"], message=error()["message"])
second = ensure_ray_initialized(runtime_env=env, connect_timeout_s=50)
report(second=second, warned=logged("WARNING"), generation=seedcore_ray.generation())
""",
        RAY_ADDRESS=ray_head.gcs_address,
        SEEDCORE_RAY_INIT_TIMEOUT_S="2",
    )
    assert (told["first"], told["kind"], told["second"]) == (False, "init_timeout", True)
    assert "runtime_env (working_dir)" in told["message"]
    assert (told["warned"], told["generation"]) == ([], 1)


@pytest.mark.soak  # Ray tries for over a minute
@pytest.mark.timeout(200)
def test_an_environment_that_cannot_be_built_says_why(ray_head: RayHead) -> None:
    told = play(
        """
env = {"working_dir": "gcs://_ray_pkg_0123456789abcdef.zip"}
report(ok=ensure_ray_initialized(runtime_env=env, connect_timeout_s=150), error=error())
""",
        RAY_ADDRESS=ray_head.client_address,
        deadline_s=180,
    )
    assert (told["ok"], told["error"]["kind"]) == (False, "init_failed")
    assert "runtime_env" in told["error"]["hint"]
    assert "Traceback" not in told["error"]["message"] and "\n" not in told["error"]["message"]
