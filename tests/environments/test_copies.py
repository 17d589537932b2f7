"""The copies that Ray may write into, without a cluster."""

from __future__ import annotations

import collections

import pytest
import ray.job_config
import ray.runtime_env

from seedcore_ray._ray.arguments import copied, setup, unmet


def _write_into(value: object) -> None:
    """As Ray does, everywhere."""
    if isinstance(value, dict):
        for item in list(value.values()):
            _write_into(item)
        dict.__setitem__(value, "written", True)
    elif isinstance(value, list):
        for item in value:
            _write_into(item)
        value.append("written")
    elif isinstance(value, ray.job_config.JobConfig):
        for item in vars(value).values():
            _write_into(item)
        value.set_runtime_env({"written": True})


class _Hook:
    def __call__(self) -> None:
        pass


@pytest.mark.parametrize("kind", ["dict", "RuntimeEnv", "JobConfig"])
def test_what_is_written_into_a_copy_stays_there(kind: str) -> None:
    environment = {"working_dir": "/", "py_modules": ["/a"], "env_vars": {"A": "1"}}
    kwargs: dict[str, object] = {"runtime_env": environment, "resources": {"a": [1]}, "n": (1, [2])}
    if kind == "RuntimeEnv":
        kwargs["runtime_env"] = ray.runtime_env.RuntimeEnv(
            env_vars={"A": "1"}, pip=["x"], config={"setup_timeout_seconds": 5}
        )
    elif kind == "JobConfig":
        kwargs["job_config"] = ray.job_config.JobConfig(
            runtime_env=environment, metadata={"a": "b"}
        )
    before = (
        repr(kwargs),
        {name: repr(vars(v)) for name, v in kwargs.items() if hasattr(v, "__dict__")},
    )
    copy = copied(kwargs)
    assert type(copy["runtime_env"]) is type(kwargs["runtime_env"])
    assert copy["runtime_env"] == kwargs["runtime_env"]
    _write_into(copy)
    after = (
        repr(kwargs),
        {name: repr(vars(v)) for name, v in kwargs.items() if hasattr(v, "__dict__")},
    )
    assert after == before


def test_what_ray_only_reads_is_the_callers_own() -> None:
    hook, credentials = _Hook(), object()
    ordered = collections.OrderedDict(b=1, a=2)
    endless: dict[str, object] = {}
    endless["self"] = endless
    copy = copied({"hook": hook, "c": credentials, "module": pytest, "o": ordered, "e": endless})
    assert copy["hook"] is hook and copy["c"] is credentials and copy["module"] is pytest
    assert list(copy["o"]) == ["b", "a"] and copy["o"] is not ordered
    assert copy["e"]["self"] is copy["e"] and copy["e"] is not endless


class _Frozen(dict[str, object]):
    def __setitem__(self, key: str, value: object) -> None:
        raise TypeError("frozen")


def test_what_cannot_be_written_into_stays() -> None:
    frozen = _Frozen({"env_vars": {"A": "1"}})
    assert copied({"runtime_env": frozen})["runtime_env"] is frozen


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({}, None),
        ({"runtime_env": None}, None),
        ({"runtime_env": {"env_vars": {"A": "1"}}}, None),
        ({"runtime_env": {"pip": []}}, None),
        ({"runtime_env": {"pip": ["x"], "working_dir": "."}}, ("working_dir, pip", 600.0)),
        (
            {"runtime_env": {"uv": ["x"], "config": {"setup_timeout_seconds": 5}}},
            ("uv", 5.0),
        ),
        (
            {"runtime_env": {"conda": "e", "config": {"setup_timeout_seconds": -1}}},
            ("conda", 86_400.0),
        ),
        ({"job_config": ray.job_config.JobConfig(runtime_env={"pip": ["x"]})}, ("pip", 600.0)),
    ],
)
def test_what_takes_long(kwargs: dict[str, object], expected: object) -> None:
    assert setup(kwargs) == expected


class _Odd:
    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


def test_wishes_are_compared_by_what_they_mean() -> None:
    told: list[dict[str, object]] = []
    job = ray.job_config.JobConfig(metadata={"a": "b"})
    same = ray.job_config.JobConfig(metadata={"a": "b"})
    assert unmet(copied({"job_config": job}), {"job_config": same}, told) is None
    assert unmet(None, {"runtime_env": None, "ignore_reinit_error": False}, told) is None
    assert unmet(None, {"x": _Odd()}, told) == "x"
    assert unmet({"runtime_env": {"pip": []}}, {"runtime_env": {"env_vars": {}}}, told) == (
        "runtime_env (env_vars, no pip)"
    )
    assert len(told) == 2
