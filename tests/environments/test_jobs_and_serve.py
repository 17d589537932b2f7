"""Real ``ray job submit`` and real Serve, which need more of Ray than ``ray[client]``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedcore_ray.testing import RayHead
from tests.support import run_program
from tests.support.scenario import RAY_VERSION

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]
_WANTED = f"ray[client,default,serve]=={RAY_VERSION}"
_DEADLINE_S = 200.0


class _HeadWithJobs(RayHead):
    """A head with the dashboard, which takes jobs; slow to begin on a busy machine."""

    @property
    def jobs(self) -> str:
        """Where jobs are submitted."""
        return f"http://127.0.0.1:{self._ports['--dashboard-port']}"

    def _ray_start(self, *servers: object) -> list[str]:
        flags = super()._ray_start(*servers)  # type: ignore[arg-type]  # handed on
        flags[flags.index("--include-dashboard=false")] = "--include-dashboard=true"
        return flags


@pytest.fixture(scope="module")
def full_ray(pytestconfig: pytest.Config) -> str:
    """The interpreter of an environment with all of Ray and our wheel; kept between runs."""
    wheel = os.environ.get("SEEDCORE_RAY_WHEEL")
    if not wheel:
        pytest.skip("installs the wheel that SEEDCORE_RAY_WHEEL names: make soak does")
    root = pytestconfig.cache.mkdir(f"ray-{RAY_VERSION}-full") / "venv"
    python = str(root / "bin/python")
    if not Path(python).exists():
        subprocess.run([sys.executable, "-m", "venv", str(root)], check=True)
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, _WANTED], check=True)
    ours = ["--no-deps", "--no-index", "--force-reinstall", str(Path(wheel).resolve())]
    subprocess.run([*pip, *ours], check=True)
    return python


@pytest.fixture(scope="module")
def head(full_ray: str) -> Iterator[_HeadWithJobs]:
    patience = {"RAY_raylet_start_wait_time_s": "180"}
    jobs = _HeadWithJobs(python=full_ray, num_cpus=4, env=patience, start_timeout_s=180)
    with jobs:
        yield jobs


def test_replicas_are_connected_and_cannot_be_cut_off(head: _HeadWithJobs, full_ray: str) -> None:
    ended = run_program(
        """
from ray import serve
import seedcore_ray
from seedcore.utils.ray_utils import ensure_ray_initialized, shutdown_ray

@serve.deployment
class Replica:
    def __init__(self):
        import logging
        import ray
        said = []
        handler = logging.Handler()
        handler.emit = lambda record: said.append(record.getMessage())
        logging.getLogger("seedcore_ray").addHandler(handler)
        self.told = [ensure_ray_initialized(), seedcore_ray.connection().mode]
        shutdown_ray()
        ensure_ray_initialized(force_reinit=True)
        self.told += [ray.is_initialized(), said]

    async def __call__(self):
        return [*self.told, ensure_ray_initialized()]

connected = ensure_ray_initialized()
serve.start(http_options={"location": "NoServer"})
handle = serve.run(Replica.bind(), name="app", route_prefix=None)
report(driver=connected, replica=handle.remote().result(timeout_s=60))
serve.shutdown()
""",
        python=full_ray,
        env={"RAY_ADDRESS": head.gcs_address, **head.env()},
        deadline_s=_DEADLINE_S,
    )
    told = ended.ok().fields
    assert told["driver"] is True
    connected, mode, alive, said, in_request = told["replica"]
    assert (connected, mode, alive, in_request) == (True, "adopted", True, True)
    assert [line.partition(" is refused")[0] for line in said] == ["shutdown_ray()", "force_reinit"]


_DRIVER = """
import json, os, sys
import ray

asked = json.loads(sys.argv[2])
try:
    if sys.argv[1] == "ours":
        import seedcore_ray
        from seedcore.utils.ray_utils import ensure_ray_initialized
        if not ensure_ray_initialized(**asked):
            raise seedcore_ray.last_error()
    else:
        ray.init(**asked)
except Exception as raised:
    print("@", json.dumps(str(raised)))
else:
    def look():
        with open("data.txt") as data:
            return [data.read(), os.environ.get("FROM_JOB"), os.environ.get("FROM_DRIVER")]
    print("@", json.dumps(ray.get(ray.remote(look).remote())))
"""


def test_drivers_of_jobs_have_the_environment_of_the_job(
    head: _HeadWithJobs, full_ray: str, tmp_path: Path
) -> None:
    (tmp_path / "driver.py").write_text(_DRIVER)
    (tmp_path / "data.txt").write_text("of the job")
    ended = run_program(
        """
import json, shlex, sys, time
from ray.job_submission import JobSubmissionClient

url, folder = sys.argv[1:]

def submitted(client, how, asked):
    words = [sys.executable, "driver.py", how, json.dumps(asked)]
    return client.submit_job(
        entrypoint=shlex.join(words),
        runtime_env={"working_dir": folder, "env_vars": {"FROM_JOB": "yes"}},
    )

def told(client, job):
    while not client.get_job_status(job).is_terminal():
        time.sleep(0.2)
    logs = client.get_job_logs(job)
    return [json.loads(line[1:]) for line in logs.splitlines() if line[:1] == "@"] or logs

client = None
while client is None:  # its agent comes up after the head
    try:
        client = JobSubmissionClient(url)
        told(client, client.submit_job(entrypoint="true"))
    except (ConnectionError, RuntimeError):
        client = None
        time.sleep(0.5)
asked = {
    "nothing": {},
    "more": {"runtime_env": {"env_vars": {"FROM_DRIVER": "too"}}},
    "other": {"runtime_env": {"env_vars": {"FROM_JOB": "no"}}},
}
report(**{
    f"{how} {name}": told(client, submitted(client, how, arguments))
    for how in ("ours", "bare") for name, arguments in asked.items()
})
""",
        head.jobs,
        str(tmp_path),
        python=full_ray,
        env=head.env(),
        deadline_s=_DEADLINE_S,
    )
    fields = ended.ok().fields
    for how in ("ours", "bare"):
        assert fields[f"{how} nothing"] == [["of the job", "yes", None]]
        assert fields[f"{how} more"] == [["of the job", "yes", "too"]]
        assert "Failed to merge the Job's runtime env" in fields[f"{how} other"][0]
