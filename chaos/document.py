"""``docs/resilience.md``, from the results."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import fill
from typing import Any

from chaos.scenario import Scenario
from chaos.scenarios import SCENARIOS

Results = dict[str, Any]
Fields = dict[str, Any]
Day = Scenario[Any]

# Processes for each core that want to run: far more than a scenario's own.
_BUSY = 30

_INTRODUCTION = """\
# When Ray goes away

What happens to a service when its head is killed, restarted, frozen or cut off: on bare Ray, and
with us. Measured on real heads, every setting at its default, by `make chaos`, which writes this
file.

![Timeline of a restart of the head. As a native driver, bare Ray and the usual helper run no task
and are ended by Ray, seedcore-ray runs tasks again soon after the new head is up. As a Ray Client,
bare Ray runs none any more, the helper and seedcore-ray do.](pictures/restart.svg)

The usual helper is [benches/reference.py](../benches/reference.py), asked again before each task.
The picture shows the run behind the row "down for 20 s" below.

The service is connected and idle: it holds an actor handle and an object ref, and no thread of it
is inside Ray. Once the head is back it runs a task as soon as it can. "Noticed" counts from the
loss, "connected again" and "first task" from the moment when the new head's port is open; in
brackets from the end of `ray start`, when all of the head is up. Natively `ray.init` waits for the
raylet, which `ray start` starts last.

One of these scenarios is no better with us. A network that is silent for longer than
`SEEDCORE_RAY_LOSS_GRACE_S` costs the handles, where bare Ray keeps waiting: silence does not tell a
cluster that is cut off from one that is dead, and waiting for a dead one ends the process.
"""

_WARNING = """\
## What no library can save

A native driver with a thread inside `ray.util.state`, `ray.experimental.internal_kv` or a placement
group's `wait()` at the moment when the GCS dies, and for a minute after it: Ray ends the process. A
`ray.get_actor()` that is inside Ray at that very moment leaves its thread blocked until a head
answers. Everything else that waits for the GCS is
[guarded](monitor.md#calls-that-wait-for-the-gcs). Here a thread calls `ray.cluster_resources()`
again and again, which bare Ray does not survive.
"""

_ASKERS = """\
## Calls that wait for the GCS

A native driver's `ray.get_actor()`, its `ray.cluster_resources()` and its first `.remote()` of a
function or a class, which Ray writes into the GCS, wait for as long as the GCS is away; when none
is back within a minute, Ray ends the process. With us they go on only once the GCS has answered a
question of ours, and end with a `RayConnectionError` of kind `lost` when the cluster is lost. Here
a thread makes such calls again and again.
"""

_MACHINES = """\
## A cluster of several machines

A head, two worker nodes and a pod without Ray, each a network namespace with an address of its own;
all know the head by its name. Native drivers run beside one worker node, clients in the pod. Their
actors, one of them detached, are on the other worker node. A worker node whose raylet ends is
started again, as Kubernetes does. "Cut off" means the driver's machine, raylet included: packets
vanish without an error. The seconds count from the moment when the cause is gone (for the weak
network: from the order to run a task over it), and include the start of a worker process for the
task.

Only a GCS with a Redis outlives itself; in the other scenarios a new head is a new cluster, which
has no actor of the old one. After a minute without a GCS the proxy of Ray Client ends, and no GCS
brings it back.
"""

_BLOCKED = """\
## Threads that are blocked in Ray

Ray's shutdown frees what a blocked call of a native driver still uses: the call ends with
`SystemExit(0)`, which ends a process with exit code 0 when it reaches the main thread, or it spins
for ever. So the monitor waits for such calls, and ends them first only when asked to
(`start_monitor(release="always")`, Ray 2.44 and newer). Such a call ends with a
`RayConnectionError` of kind `lost`, and so does an `await ref`, which bare Ray leaves pending for
ever. Here the GCS was killed and did not come back; the process was looked at for 110 s.
"""

_EXITS = """\
## Leaving while the GCS is dead

Bare Ray's excepthook reports to the GCS what ends a driver before it prints it, and waits for the
reply: an exception or Ctrl-C ends nothing for a minute, and the traceback is never seen. With the
monitor on it is printed, and the process ends as after `ray.shutdown()`, which takes 5 s without a
GCS.
"""

_FORKS = """\
## A forked child

A child of a connected process, which calls `sys.exit(7)`, and its parent, whose monitor goes on.
"""


def document(results: Results) -> str:
    """The document. The newest Ray has all tables; an older one shows that it is alike."""
    newest, *older = sorted(results, key=_as_numbers, reverse=True)
    parts = [_INTRODUCTION, _circumstances(results[newest]), *_tables(results[newest])]
    for ray in older:
        parts.append(f"## Ray {ray}\n\n{_circumstances(results[ray])}")
        parts += _tables(results[ray], words=False)
    return "\n".join(parts)


def _as_numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _circumstances(results: Results) -> str:
    run, played = results["run"], results["scenarios"]
    load = max((one["load"] for one in played.values()), default=0)
    told = f"Ray {run['ray']}, Python {run['python']}, {run['cores']} cores, {run['date']}, "
    told += f"load average up to {load:.0f}.\n"
    if load > _BUSY * run["cores"]:
        told += "The machine was shared with other work at times, which takes its time.\n"
    missing = [f"`{scenario.key}`" for scenario in SCENARIOS if scenario.key not in played]
    absent = fill(f"Not measured: {', '.join(missing)}.", 100, break_on_hyphens=False)
    return told + (f"\n{absent}\n" if missing else "")


def _tables(results: Results, words: bool = True) -> Iterator[str]:
    played = results["scenarios"]
    writers = (
        ("", "outages", _OUTAGE_HEADER, _outage_rows),
        (_MACHINES, "machines", _MACHINE_HEADER, _machine_rows),
        (_WARNING, "readers", _READER_HEADER, _reader_rows),
        (_ASKERS, "askers", _ASKER_HEADER, _asker_rows),
        (_BLOCKED, "blocked", _BLOCKED_HEADER, _blocked_rows),
        (_EXITS, "exits", _EXIT_HEADER, _exit_rows),
        (_FORKS, "forks", _FORK_HEADER, _fork_rows),
    )
    for text, table, header, rows in writers:
        found = list(_of_table(table, played))
        # The warning holds whether or not it was measured this time.
        if words and text and (found or text is _WARNING):
            yield text
        if not found:
            continue
        columns = "|".join("---" for _ in header)
        lines = [f"| {' | '.join(header)} |", f"|{columns}|"]
        for scenario, outcomes in found:
            lines += [f"| {' | '.join(row)} |" for row in rows(scenario, outcomes)]
        yield "\n".join(lines) + "\n"


def _of_table(table: str, played: Results) -> Iterator[tuple[Day, list[Fields]]]:
    for scenario in SCENARIOS:
        if scenario.table == table and scenario.key in played:
            yield scenario, played[scenario.key]["outcomes"]


_OUTAGE_HEADER = (
    *("what happens", "connection", "bare Ray", "with us", "noticed", "connected again"),
    *("first task", "lost"),
)


def _outage_rows(scenario: Day, outcomes: list[Fields]) -> Iterator[list[str]]:
    for bare, ours in _pairs(outcomes):
        yield [
            scenario.title,
            _name(ours["mode"]),
            _fate(bare),
            _fate(ours),
            _seconds(ours["noticed_s"]),
            _seconds(ours["connected_s"]),
            _with_start(ours),
            _lost(ours),
        ]


_MACHINE_HEADER = (
    *("what happens", "connection", "bare Ray", "it loses", "with us", "we lose"),
    *("noticed", "connected again", "first task"),
)


def _machine_rows(scenario: Day, outcomes: list[Fields]) -> Iterator[list[str]]:
    for bare, ours in _pairs(outcomes):
        yield [
            scenario.title,
            _name(ours["mode"]),
            _fate(bare),
            _each_lost(bare),
            _fate(ours),
            _each_lost(ours),
            *map(_seconds, (ours["noticed_s"], ours["connected_s"], ours["task_s"])),
        ]


def _each_lost(one: Fields) -> str:
    if one["ended_s"] is not None:
        return "all"
    words = {"old handle": "handle", "old ref": "ref", "detached actor": "detached actor"}
    dead = [word for what, word in words.items() if not one["kept"].get(what, False)]
    return ", ".join(dead) or "nothing"


def _pairs(outcomes: list[Fields]) -> Iterator[tuple[Fields, Fields]]:
    for mode in ("native", "client"):
        yield _one(outcomes, "bare", mode), _one(outcomes, "ours", mode)


def _one(outcomes: list[Fields], who: str, mode: str) -> Fields:
    return next(one for one in outcomes if (one["who"], one["mode"]) == (who, mode))


def _name(mode: str) -> str:
    return {"native": "native", "client": "Ray Client"}[mode]


def _fate(one: Fields) -> str:
    if one["ended_s"] is not None:
        return f"process ends after {one['ended_s']:.0f} s, exit code {one['rc']}"
    if one["task_s"] is None:
        return "lives, but no task runs any more"
    if not one["events"] and one["who"] == "ours":
        return "nothing is noticed, nothing is needed"
    if one["who"] == "bare":
        return f"tasks run again after {_seconds(one['task_s'])}"
    return ", ".join(one["events"])


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{max(value, 0.0):.1f} s"


def _with_start(one: Fields) -> str:
    if one["task_s"] is None or one["task_after_start_s"] is None:
        return _seconds(one["task_s"])
    return f"{_seconds(one['task_s'])} ({one['task_after_start_s']:.1f} s)"


def _lost(one: Fields) -> str:
    if not one["kept"]:
        return ""
    dead = [what for what, works in one["kept"].items() if not works]
    return {0: "nothing", 1: f"the {dead[0]}" if dead else ""}.get(len(dead), "handles and refs")


_READER_HEADER = ("such a thread, new head after 20 s", "the process")


def _reader_rows(scenario: Day, outcomes: list[Fields]) -> Iterator[list[str]]:
    for one in outcomes:
        yield [_whose(one), _process(one)]


_ASKER_HEADER = ("in a loop", "new head", "", "what happens to it", "the call")
_CALLS = {
    "reader": "`cluster_resources()`",
    "asker": "`get_actor()`",
    "exporter": "first `.remote()`",
}


def _asker_rows(scenario: Day, outcomes: list[Fields]) -> Iterator[list[str]]:
    for one in outcomes:
        call = _call(one["call_ended"])
        yield [_CALLS[one["blocked"]], scenario.title, _whose(one), _fate(one), call]


def _whose(one: Fields) -> str:
    if one["who"] == "bare":
        return "bare Ray"
    return f'with us, `release="{one["release"]}"`' if one["mode"] == "native" else "with us"


def _process(one: Fields) -> str:
    if one["ended_s"] is not None:
        return f"ended after {one['ended_s']:.0f} s, exit code {one['rc']}"
    return "lives"


_BLOCKED_HEADER = ("blocked", "connection", "", "the process", "the call")


def _blocked_rows(scenario: Day, outcomes: list[Fields]) -> Iterator[list[str]]:
    places = {"main": "main thread", "thread": "a thread", "executor": "asyncio's executor"}
    for one in sorted(outcomes, key=lambda one: list(places).index(one["blocked"])):
        yield [
            places[one["blocked"]],
            _name(one["mode"]),
            _whose(one),
            _process(one),
            _call(one["call_ended"]),
        ]


def _call(words: str | None) -> str:
    return "never returns" if words is None else f"`{words.split(':')[0]}`"


_EXIT_HEADER = ("when", "how", "bare Ray", "with us", "state")


def _exit_rows(scenario: Day, outcomes: list[Fields]) -> Iterator[list[str]]:
    for how in ("exit", "raise", "SIGINT", "SIGTERM"):
        bare, ours = _leaver(outcomes, "bare", how), _leaver(outcomes, "ours", how)
        yield [
            f"{scenario.title}, {_name(ours['mode'])}",
            {"exit": "`sys.exit(3)`", "raise": "an exception", "SIGINT": "Ctrl-C"}.get(how, how),
            _exit(bare, how),
            _exit(ours, how),
            str(ours["leaving_in"]),
        ]


def _leaver(outcomes: list[Fields], who: str, how: str) -> Fields:
    return next(one for one in outcomes if (one["who"], one["leaves"]) == (who, how))


def _exit(one: Fields, how: str) -> str:
    if one["rc"] is None:
        return "had to be killed"
    took = one["left_s"]
    if took is None:
        return f"was gone by then, exit code {one['rc']}"
    silent = how in ("raise", "SIGINT") and not one["has_traceback"]
    return f"code {one['rc']} after {took:.1f} s{', no traceback' if silent else ''}"


_FORK_HEADER = ("connection", "", "the child", "the parent")


def _fork_rows(scenario: Day, outcomes: list[Fields]) -> Iterator[list[str]]:
    for one in outcomes:
        child = one["child"] or {"rc": None, "seconds": 0.0}
        ended = f"exit code {child['rc']} after {child['seconds']:.1f} s"
        yield [
            _name(one["mode"]),
            "bare Ray" if one["who"] == "bare" else "with us",
            ended if child["rc"] is not None else "hangs",
            "works on" if one["task_s"] is not None or one["rc"] == 0 else _process(one),
        ]
