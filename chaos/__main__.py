"""Play the scenarios, two at once; write the results, the document and the timeline."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chaos import network, store, timeline
from chaos.checks import check
from chaos.document import document
from chaos.outcome import outcome
from chaos.scenarios import SCENARIOS

_ROOT = Path(__file__).parents[1]
_DOCUMENT = _ROOT / "docs" / "resilience.md"
_AT_ONCE = 2
# On a busy machine `ray start` itself gives up at times.
_TRIES = 2
_BY_KEY = {scenario.key: scenario for scenario in SCENARIOS}
# `network` is all that is played on several machines.
_GROUPS = {"network": [one.key for one in SCENARIOS if one.table == "machines"]}


def main() -> int:
    """Play, print, write. 1 when something is not as it must be."""
    options = _options()
    # As an exit, so that heads and programs are ended on the way.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A shell ignores Ctrl-C for what it starts in the background, and programs inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if options.here:
        print(json.dumps(_play(options.scenarios[0], options.python)))
        return 0
    results = store.read()
    failed = False
    if not options.document:
        asked = options.scenarios or list(_BY_KEY)
        keys = [key for name in asked for key in _GROUPS.get(name, [name])]
        failed = _measure(results, keys, options.python)
    for path, text in {**timeline.documents(), _DOCUMENT: document(results)}.items():
        path.write_text(text)
    return int(failed)


def _options() -> argparse.Namespace:
    names = ", ".join((*_GROUPS, *_BY_KEY))
    parser = argparse.ArgumentParser(description="what becomes of a service whose Ray goes away")
    parser.add_argument("scenarios", nargs="*", help=f"only these of {names}")
    parser.add_argument(
        "--python",
        default=sys.executable,
        type=os.path.abspath,
        help="the interpreter, with its Ray",
    )
    parser.add_argument(
        "--document", action="store_true", help="only write the document and the timeline anew"
    )
    parser.add_argument("--here", action="store_true", help="play one, print what became of it")
    options = parser.parse_args()
    if unknown := set(options.scenarios) - {*_BY_KEY, *_GROUPS}:
        parser.error(f"no scenario {', '.join(sorted(unknown))}")
    return options


def _measure(results: dict[str, Any], keys: list[str], python: str) -> bool:
    run = _circumstances(python)
    kept = results.setdefault(run["ray"], {"scenarios": {}})
    kept["run"] = run
    failed = False
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        plays = threads.map(lambda key: _play_apart(key, python), keys)
        for key, played in zip(keys, plays, strict=True):
            if played["outcomes"]:
                kept["scenarios"][key] = played
            store.write(results)
            _print(key, played)
            failed |= not all(verdict["passed"] for verdict in played["checks"])
    return failed


def _play_apart(key: str, python: str) -> dict[str, Any]:
    """In a process, and where that is possible in a network, of its own."""
    scenario = _BY_KEY[key]
    if reason := scenario.hindrance():
        return {"outcomes": [], "checks": [], "skipped": reason}
    command = [sys.executable, "-m", "chaos", "--here", "--python", python, key]
    for _ in range(_TRIES):
        done = subprocess.run([*scenario.prefix, *command], stdout=subprocess.PIPE, cwd=_ROOT)
        if done.returncode == 0:
            played: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
            return played
    failure = {"text": f"the scenario runs to its end (rc {done.returncode})", "passed": False}
    return {"outcomes": [], "checks": [failure]}


def _play(key: str, python: str) -> dict[str, Any]:
    network.up()
    scenario = _BY_KEY[key]
    began = time.monotonic()
    with scenario.on(scenario.services, python) as cast:
        time.sleep(1)
        scenario.play(cast)
        outcomes = [outcome(running, cast.moments, scenario.wait_s) for running in cast.running]
    return {
        "wall_s": round(time.monotonic() - began, 1),
        "load": round(os.getloadavg()[0], 1),
        "outcomes": [asdict(one) for one in outcomes],
        "checks": [asdict(verdict) for verdict in check(key, outcomes)],
    }


def _print(key: str, played: dict[str, Any]) -> None:
    if reason := played.get("skipped"):
        print(f"\n{key}: skipped, {reason}")
    else:
        print(f"\n{key}, {played.get('wall_s')} s, load {played.get('load')}")
    for one in played["outcomes"]:
        told = {name: value for name, value in one.items() if value not in (None, [], {}, "")}
        print("  ", told)
    for verdict in played["checks"]:
        print("  ", "pass" if verdict["passed"] else "FAIL", verdict["text"])
    sys.stdout.flush()


def _circumstances(python: str) -> dict[str, Any]:
    program = "import platform, ray; print(ray.__version__, platform.python_version())"
    told = subprocess.run([python, "-c", program], check=True, capture_output=True, text=True)
    ray, version = told.stdout.split()
    return {
        "ray": ray,
        "python": version,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores": os.cpu_count(),
    }


if __name__ == "__main__":
    sys.exit(main())
