"""Each rewrite, before and after, on a real head and at a dead address.

A program says itself what it expects, so that both versions have to satisfy the same words. Where
the rule says that something changes, there is one expectation for each.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from seedcore_ray.testing import RayHead
from tests.migrate.cases import fixed
from tests.support import closed_port, run_program

_RUNNER = Path(__file__).parents[1] / "docs/runner.py"
_IN_JOBS = 'assert ray.get_runtime_context().namespace == "jobs"\n'


@dataclass(frozen=True)
class Behaviour:
    """A program, and what is to be true after it on a head."""

    source: str
    same: str = _IN_JOBS
    """Before and after the rewrite."""
    before: str = ""
    after: str = ""
    """What the rule says that changes."""
    is_safe: bool = True
    raises: bool = True
    """Whether a dead address raises; the program handles it otherwise."""


_SOON = 'import os\n\nos.environ["SEEDCORE_RAY_CONNECT_TIMEOUT_S"] = "0.5"\n'
_TASK = "\n@ray.remote\ndef task():\n    return 3\n\n\nassert ray.get(task.remote()) == 3\n"
_PROGRAMS = {
    "plain": Behaviour('import ray\n\nray.init("{address}", namespace="jobs")\n', _IN_JOBS + _TASK),
    "keywords": Behaviour(
        "import ray\n\nray.init(\n    address='{address}',\n    ignore_reinit_error=True,\n"
        "    namespace='jobs',\n    log_to_driver=False,\n)\n"
    ),
    "guard": Behaviour(
        "import ray\n\n\ndef start():\n    if not ray.is_initialized():\n"
        '        ray.init(address="{address}", namespace="jobs")\n\n\nstart()\nstart()\n'
    ),
    "guard with else": Behaviour(
        "import ray\n\n\ndef start():\n    if not ray.is_initialized():\n"
        '        ray.init(address="{address}", namespace="jobs")\n        return 1\n'
        "    else:\n        return 2\n\n\nstarts = [start(), start()]\n",
        _IN_JOBS + "assert starts == [1, 2]\n",
    ),
    "handled": Behaviour(
        "import ray\n\n\ndef start():\n    try:\n"
        '        ray.init("{address}", namespace="jobs")\n    except ConnectionError:\n'
        "        return False\n    return True\n\n\nstarted = start()\n",
        "assert started is ray.is_initialized() is {alive}\n",
        raises=False,
    ),
    "environment": Behaviour(
        "import os\n\nimport ray\n\n"
        'ray.init(os.getenv("NOWHERE_SET", "{address}"), namespace=f"{{\'jo\'}}bs")\n'
    ),
    "called twice": Behaviour(
        "import ray\n\n\ndef start():\n"
        '    ray.init("{address}", namespace="jobs")\n\n\nstart()\ntry:\n    start()\n'
        "    again = True\nexcept RuntimeError:\n    again = False\n",
        before=_IN_JOBS + "assert not again\n",
        after=_IN_JOBS + "assert again\n",
    ),
    "no namespace": Behaviour(
        'import ray\n\nray.init("{address}")\n',
        same="",
        before='assert len(ray.get_runtime_context().namespace) == len("8d1e2ac6-") * 4\n',
        after='assert ray.get_runtime_context().namespace == "seedcore-dev"\n',
        is_safe=False,
    ),
    "no address": Behaviour(
        'import os\n\nimport ray\n\nos.environ["RAY_ADDRESS"] = "{address}"\n'
        'ray.init(namespace="jobs")\n',
        is_safe=False,
    ),
    "variable": Behaviour(
        "import ray\n\n\ndef start(address):\n"
        '    ray.init(address, namespace="jobs")\n\n\nstart("{address}")\n',
        is_safe=False,
    ),
    "event loop": Behaviour(
        "import asyncio\n\nimport ray\n\n\nasync def start():\n"
        '    ray.init("{address}", namespace="jobs")\n\n\nasyncio.run(start())\n',
        is_safe=False,
    ),
}

_Example = list[tuple[str, str, str]]


def _rewritten(name: str, source: str) -> str:
    """The source after its rewrite, of the kind that its rule names."""
    behaviour = _PROGRAMS[name]
    data = source.encode()
    safe = fixed(data, "main.py", unsafe=False)
    assert (safe != data) is behaviour.is_safe, "what is safe is another matter than it was"
    text = fixed(data, "main.py", unsafe=True).decode()
    assert "ray.init(" not in text
    return text


def _on(address: str, name: str, number: int) -> list[_Example]:
    behaviour = _PROGRAMS[name]
    source = behaviour.source.format(address=address)
    same = behaviour.same.replace("{alive}", "True")
    place = f"{name} {number}"
    return [
        [(f"{place} before", source + same + behaviour.before, "")],
        [(f"{place} after", _rewritten(name, source) + same + behaviour.after, "")],
    ]


def _run(examples: list[_Example], deadline_s: float, **env: str) -> None:
    ended = run_program(
        _RUNNER.read_text(), json.dumps(examples), env=env, deadline_s=deadline_s
    ).ok()
    assert {place: code for place, code in ended.fields.items() if code} == {}, ended.told()
    assert len(ended.fields) == len(examples)


def _dead(name: str, address: str, rewritten: bool) -> _Example:
    """An example at an address where nothing is."""
    behaviour = _PROGRAMS[name]
    source = behaviour.source.format(address=address)
    text = _SOON + _rewritten(name, source) if rewritten else source
    if not behaviour.raises:
        return [(name, text + behaviour.same.replace("{alive}", "False"), "")]
    return [(name, text, "RayConnectionError" if rewritten else "ConnectionError")]


# Between them they show every rule with a rewrite, and every way to handle a failure.
_FEW = ("plain", "guard with else", "handled", "no namespace", "event loop")


def test_alive_and_dead(ray_head: RayHead) -> None:
    """All of them at a dead address, where what they raise is caught as it was; some on a head."""
    address = f"ray://127.0.0.1:{closed_port()}"
    dead = [_dead(name, address, rewritten=True) for name in _PROGRAMS]
    native = [one for name in _FEW for one in _on(ray_head.gcs_address, name, 1)]
    client = _on(ray_head.client_address, "guard", 2)
    _run([*client, *native, *dead], 110.0, **ray_head.env())


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("address", ["gcs_address", "client_address"])
def test_alive(ray_head: RayHead, address: str) -> None:
    examples = [one for name in _PROGRAMS for one in _on(getattr(ray_head, address), name, 1)]
    _run(examples, 280.0, **ray_head.env())


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_dead_before() -> None:
    """Ray takes half a minute for each."""
    address = f"ray://127.0.0.1:{closed_port()}"
    _run([_dead(name, address, rewritten=False) for name in _PROGRAMS], 390.0)
