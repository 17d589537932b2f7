"""Threads that share a cluster: through a pool, one bare Ray Client, or several bare ones."""

from __future__ import annotations

import os
import statistics
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benches.figures import Check, Figure, Row, show
from benches.lab import Fields, rounds
from seedcore_ray.testing import RayHead
from tests.support.programs import Program

_ROUNDS = 3
_SIZES = (1, 2, 4)
# Each load runs so long before it is counted: workers are leased anew when others had them.
_WARM_UP_S, _COUNTED_S = 0.2, 0.5

# A worker that is not in use for 1 s is ended otherwise, and started anew at the next load.
_HEAD_ENV = {"RAY_idle_worker_killing_time_threshold_ms": "600000"}
# So many tasks run at once, of whatever client: each client is a job with workers of its own.
_HEAD_CPUS = 2

# Answers each line "load size" with what it has seen. ``turn`` lends a client to its thread.
_PROGRAM = """
    import os, sys, threading, time
    from contextlib import ExitStack, nullcontext

    variant, address, warm_up_s, counted_s = sys.argv[1], sys.argv[2], *map(float, sys.argv[3:])
    quiet = {"namespace": "bench", "logging_level": "ERROR", "log_to_driver": False}
    import ray

    def answer():
        return 42

    class Answers:
        def answer(self):
            return 42

        def bulk(self):
            return bytes(32 << 20)

    made = {}

    def calls(client):
        # A function and an actor for each client, as bare ones need it.
        if client not in made:
            actor = ray.remote(num_cpus=0)(Answers).remote()
            made[client] = {"tasks": ray.remote(answer), "actor": actor.answer, "bulk": actor.bulk}
        return made[client]

    def bound(context):
        ray.util.client.ray.set_context(context._context_to_restore)

    if variant == "bare":
        ray.init(address, **quiet)
        prepare, turn = (lambda index: None), (lambda index: nullcontext(index % 4))
    elif variant == "contexts":
        contexts = [ray.init(address, allow_multiple=True, **quiet) for _ in range(4)]
        prepare = lambda index: bound(contexts[index % 4])
        turn = lambda index: nullcontext(index % 4)
    else:
        from seedcore_ray import ConnectionPool

        pool = ConnectionPool(address, min_size=4, max_size=4, **quiet)
        pool.open(wait=True, timeout=60)
        prepare, turn = (lambda index: None), (lambda index: pool.connection())

    def one(load, client):
        ray.get(calls(client)[load].remote())
        return 1

    def twenty(load, client):
        ray.get([calls(client)[load].remote() for _ in range(20)])
        return 20

    def sixteen(run):
        threads = [threading.Thread(target=run, args=(index,)) for index in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def settle(index):
        # Workers start, on all clients.
        prepare(index)
        with turn(index) as lent:
            for load in ("tasks", "actor"):
                twenty(load, getattr(lent, "number", lent))

    def counted(how, load):
        counts, warm = [0] * 16, [0] * 16
        start = time.perf_counter() + warm_up_s
        end = start + counted_s

        def run(index):
            prepare(index)
            while True:
                with turn(index) as lent:
                    if (now := time.perf_counter()) > end:
                        return
                    done = how(load, getattr(lent, "number", lent))
                (counts if now >= start else warm)[index] += done

        sixteen(run)
        seconds = (time.perf_counter() - start) / max(1, sum(counts))
        return {"seconds": seconds, "calls": sum(counts) + sum(warm)}

    def beside_bulk():
        # One small call at a time, while another thread fetches 32 MB again and again.
        over, samples = threading.Event(), []

        def fetch():
            prepare(1)
            with turn(1) as lent:
                while not over.is_set():
                    ray.get(calls(getattr(lent, "number", lent))["bulk"].remote())

        def small():
            prepare(0)
            while time.perf_counter() < end:
                with turn(0) as lent:
                    began = time.perf_counter()
                    one("actor", getattr(lent, "number", lent))
                samples.append(time.perf_counter() - began)

        thread = threading.Thread(target=fetch)
        thread.start()
        time.sleep(warm_up_s)
        end = time.perf_counter() + counted_s
        other = threading.Thread(target=small)
        other.start()
        other.join()
        over.set()
        thread.join()
        return {"seconds": sorted(samples)[len(samples) // 2], "calls": len(samples)}

    def measured(load):
        if load == "bulk":
            return beside_bulk()
        how, what = load.split()
        return counted({"one": one, "twenty": twenty}[how], what)

    def hold(taken, free):
        with pool.connection():
            taken.release()
            free.wait()

    sixteen(settle)
    mark("ready")
    for number, line in enumerate(sys.stdin):
        load, size = line.rsplit(None, 1)
        free, taken = threading.Event(), threading.Semaphore(0)
        holders = 4 - int(size) if variant == "pool" else 0
        threads = [threading.Thread(target=hold, args=(taken, free)) for _ in range(holders)]
        for thread in threads:
            thread.start()
            taken.acquire()
        report(**measured(load))
        free.set()
        for thread in threads:
            thread.join()
        mark(f"done {number}")
    os._exit(0)
"""


@dataclass
class _Client:
    """A program that carries loads out, one after the other."""

    program: Program
    head: RayHead
    told: int = 0
    # CPU time of a call by load and part of Ray, in seconds.
    cpu: dict[str, dict[str, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    def seconds(self, load: str, size: int) -> Fields:
        before = self._cpu()
        self.program.tell(f"{load} {size}")
        self.program.wait_for_mark(f"done {self.told}")
        self.told += 1
        seen = self.program.fields_so_far()
        for part, value in self._cpu().items():
            used = max(0.0, value - before.get(part, 0.0))
            self.cpu[f"{load} {size}"][part].append(used / max(1, seen["calls"]))
        return seen

    def _cpu(self) -> dict[str, float]:
        used: dict[str, float] = defaultdict(float)
        used["client"] = _cpu_s(self.program.pid)
        for process in self.head.processes():
            used[_part(process.command)] += _cpu_s(process.pid)
        return used

    def who(self, load: str, size: int) -> str:
        """Who used the processor, and for how long for each call."""
        parts = {part: statistics.median(x) for part, x in self.cpu[f"{load} {size}"].items()}
        ordered = sorted(parts.items(), key=lambda item: -item[1])
        total = sum(parts.values())
        shown = (f"{part} {show(used, 's')}" for part, used in ordered if used >= total / 20)
        return f"{show(total, 's')}: {', '.join(shown)}"


def _part(command: str) -> str:
    names = {
        "--mode=specific-server": "servers",
        "--mode=proxy": "proxy",
        "raylet/raylet": "raylet",
        "gcs_server": "GCS",
        "ray::": "workers",
    }
    return next((name for text, name in names.items() if text in command), "rest of the head")


def _cpu_s(pid: int) -> float:
    try:
        # The name, in brackets, may have spaces.
        numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0.0
    return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _client(head: RayHead, variant: str) -> Iterator[_Client]:
    times = (str(_WARM_UP_S), str(_COUNTED_S))
    with Program(_PROGRAM, variant, head.client_address, *times, env=head.env()) as program:
        program.wait_for_mark("ready", 120)
        yield _Client(program, head)


_LOADS = {
    "one tasks": "a small task, 1 in a block",
    "twenty tasks": "a small task, 20 in a block",
    "one actor": "an actor call, 1 in a block",
    "bulk": "an actor call while another thread fetches 32 MB",
}


def rows() -> list[Row]:
    """Throughput and memory, each load in turn with all variants."""
    with RayHead(num_cpus=_HEAD_CPUS, env=_HEAD_ENV) as head, ExitStack() as stack:
        pool = stack.enter_context(_client(head, "pool"))
        memory = _memory_row(head)
        bare, contexts = (stack.enter_context(_client(head, x)) for x in ("bare", "contexts"))
        found = [row for load in _LOADS for row in _load_rows(load, pool, bare, contexts)]
        return [*found, memory]


def _load_rows(load: str, pool: _Client, bare: _Client, contexts: _Client) -> list[Row]:
    sizes = _SIZES if load != "bulk" else (2,)
    taken = rounds(
        _ROUNDS,
        lambda: bare.seconds(load, 1),
        lambda: contexts.seconds(load, 4),
        *(lambda size=size: pool.seconds(load, size) for size in sizes),
    )
    one, four, *ours = (Figure.median([sample["seconds"] for sample in x]) for x in taken)
    note = f"4 bare contexts: {four}; CPU time of a call {pool.who(load, sizes[-1])}"
    return [
        Row(
            f"{_LOADS[load]}, a pool of {size}",
            figure,
            ray=one,
            checks=_checks(load, figure, one),
            note=note if size == sizes[-1] else "",
        )
        for size, figure in zip(sizes, ours, strict=True)
    ]


def _checks(load: str, figure: Figure, bare: Figure) -> tuple[Check, ...]:
    # For the rest the table shows what there is, not a promise: a pool helps with few loads.
    return (Check.below(figure, bare.value),) if load == "bulk" else ()


def _memory_row(head: RayHead) -> Row:
    sizes = [_memory(process.pid) for process in head.client_servers()]
    own = Figure.median([own for own, _ in sizes], "bytes")
    resident = Figure.median([resident for _, resident in sizes], "bytes")
    return Row(
        "memory on the head for each connection (PSS)",
        own,
        checks=(Check(f"{len(sizes)} server processes", len(sizes) == max(_SIZES)),),
        note=f"{resident} resident; workers of its tasks not counted",
    )


def _memory(pid: int) -> tuple[int, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) * 1024 for line in lines[1:]}
    return sizes["Pss:"], sizes["Rss:"]
