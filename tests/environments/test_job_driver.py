"""The driver of a ``ray job submit``: the job's ``runtime_env`` is in its environment.

The driver is started as Ray's job supervisor starts it (``JobSupervisor._get_driver_env_vars``):
the server that takes real jobs is in ``ray[default]``, see ``test_jobs_and_serve.py``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seedcore_ray.testing import RayHead
from tests.support.scenario import play

_TOLD = """
import ray

def told():
    def look():
        with open("data.txt") as data:
            return [data.read(), os.environ.get("FROM_JOB"), os.environ.get("FROM_DRIVER")]
    return ray.get(ray.remote(look).remote())

def bare(**arguments):
    try:
        ray.init(**arguments)
        return told()
    except ValueError as raised:
        return str(raised)
    finally:
        ray.shutdown()

def ours(**arguments):
    ok = ensure_ray_initialized(**arguments)
    return told() if ok else error()["text"]
"""


def _in_job(head: RayHead, folder: Path, source: str, **env: str) -> dict[str, Any]:
    (folder / "data.txt").write_text("of the job")
    config = {
        "runtime_env": {"working_dir": str(folder), "env_vars": {"FROM_JOB": "yes"}},
        "metadata": {"job_submission_id": "raysubmit_ofAtest"},
    }
    return play(
        f"{_TOLD}\n{source}",
        RAY_ADDRESS=head.gcs_address,
        RAY_JOB_CONFIG_JSON_ENV_VAR=json.dumps(config),
        PYTHONUNBUFFERED="1",
        deadline_s=100,
        **env,
    )


def test_a_driver_connects_with_the_environment_of_its_job(
    ray_head: RayHead, tmp_path: Path
) -> None:
    told = _in_job(
        ray_head,
        tmp_path,
        """
first = ours()
shutdown_ray()
report(ours=first, bare=bare())
""",
    )
    assert told["ours"] == told["bare"] == ["of the job", "yes", None]


@pytest.mark.soak
def test_what_the_driver_asks_for_is_merged_each_time(ray_head: RayHead, tmp_path: Path) -> None:
    told = _in_job(
        ray_head,
        tmp_path,
        """
more = {"env_vars": {"FROM_DRIVER": "too"}}
merged = ours(runtime_env=more)
again = ours(runtime_env=more, force_reinit=True)
shutdown_ray()
report(ours=merged, again=again, bare=bare(runtime_env=more), more=more)
""",
    )
    assert told["ours"] == told["again"] == told["bare"] == ["of the job", "yes", "too"]
    assert told["more"] == {"env_vars": {"FROM_DRIVER": "too"}}


def test_a_conflict_with_the_job_is_told_in_the_words_of_ray(
    ray_head: RayHead, tmp_path: Path
) -> None:
    told = _in_job(
        ray_head,
        tmp_path,
        """
other = {"env_vars": {"FROM_JOB": "hunter2"}}
refused = ours(runtime_env=other)
report(ours=refused, bare=bare(runtime_env=other), kind=error()["kind"],
       said=[*logged("ERROR"), *logged("DEBUG"), error()["text"]])
""",
    )
    assert told["kind"] == "init_failed"
    assert "Failed to merge the Job's runtime env" in told["bare"]
    assert "RAY_OVERRIDE_JOB_RUNTIME_ENV=1" in told["ours"]
    assert "hunter2" not in "".join(told["said"])
