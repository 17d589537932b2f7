"""A pool: what it costs to borrow a connection, who waits how long, and what load it carries."""

from __future__ import annotations

import signal
import time

from benches import pool_load
from benches.figures import Check, Figure, Row
from benches.lab import Fields, Lab, fields
from seedcore_ray.testing import RayHead
from seedcore_ray.testing.processes import send_signal
from tests.support.programs import Program

# Connected calls without, with and without a pool: what drifts shows in both.
_LEASES = """
    import sys, timeit
    from seedcore.utils.ray_utils import ensure_ray_initialized
    from seedcore_ray import ConnectionPool
    from seedcore_ray._core import _empty

    quiet = {"namespace": "bench", "logging_level": "ERROR", "log_to_driver": False}
    assert ensure_ray_initialized(sys.argv[1], "bench", logging_level="ERROR")
    connected = timeit.Timer("call()", globals={"call": ensure_ray_initialized})
    empty = timeit.Timer("call()", globals={"call": _empty})

    def calls(timer, count=100_000):
        return [timer.timeit(count) / count for _ in range(7)]

    seen = {key: [] for key in ("free", "nested", "beside", "without", "empty")}
    for _ in range(3):
        seen["without"] += calls(connected)
        with ConnectionPool(sys.argv[1], min_size=1, max_size=1, **quiet) as pool:
            pool.wait(60)
            seen["beside"] += calls(connected)
            lent = timeit.Timer("with pool.connection(): pass", globals={"pool": pool})
            seen["free"] += calls(lent, 10_000)
            with pool.connection():
                seen["nested"] += calls(lent, 10_000)
        seen["empty"] += calls(empty)
    report(**seen)
"""

_WAITERS = """
    import os, sys, threading, time
    from seedcore_ray import ConnectionPool

    count, quiet_s = 1000, 2.0
    quiet = {"namespace": "bench", "logging_level": "ERROR", "log_to_driver": False}
    pool = ConnectionPool(sys.argv[1], min_size=1, max_size=1, **quiet)
    pool.open(wait=True, timeout=60)
    time.sleep(0.5)

    def cpu_share():
        wall, cpu = time.perf_counter(), time.process_time()
        time.sleep(quiet_s)
        return (time.process_time() - cpu) / (time.perf_counter() - wall)

    order, latest = [], []

    def wait(index):
        with pool.connection(timeout=120):
            order.append(index)

    threading.stack_size(256 * 1024)
    with pool.connection():
        idle = cpu_share()
        threads = [threading.Thread(target=wait, args=(index,)) for index in range(count)]
        for index, thread in enumerate(threads):
            thread.start()
            while pool.get_stats()["requests_waiting"] != index + 1:
                time.sleep(0)
        waiting = cpu_share()
        began = time.perf_counter()
    for thread in threads:
        thread.join()
    report(seconds=time.perf_counter() - began, idle=idle, waiting=waiting,
           served=len(order), out_of_order=sum(a > b for a, b in zip(order, order[1:])))
    os._exit(0)
"""

# Told when a server process was killed, on the clock that all processes share.
_REPLACED = """
    import os, sys, time
    from seedcore_ray import ConnectionPool

    quiet = {"namespace": "bench", "logging_level": "ERROR", "log_to_driver": False}
    pool = ConnectionPool(sys.argv[1], min_size=2, max_size=2, **quiet)
    pool.open(wait=True, timeout=60)

    def wait_until(ready):
        while not ready(pool.get_stats()):
            assert time.monotonic() < killed + 60, pool.get_stats()
            time.sleep(0.002)
        return time.monotonic() - killed

    noticed, replaced = [], []
    mark("ready 0")
    for round, line in enumerate(sys.stdin, 1):
        killed = float(line)
        noticed.append(wait_until(lambda stats: stats["pool_available"] < 2))
        replaced.append(wait_until(lambda stats: stats["pool_available"] == 2))
        # Until the dead one is given up, which is no part of it.
        wait_until(lambda stats: stats["connections_lost"] == round)
        report(noticed=noticed, replaced=replaced)
        mark(f"ready {round}")
    os._exit(0)
"""
_KILLED = 5


def rows(lab: Lab) -> list[Row]:
    """One connection first, then many."""
    head = lab.head
    found = [*_lease_rows(head), _waiter_row(head), _replaced_row(head)]
    # The loads have a head of their own.
    lab.stop_head()
    return found + pool_load.rows()


def _lease_rows(head: RayHead) -> list[Row]:
    seen: Fields = fields(_LEASES, head.client_address, env=head.env())
    free, nested, beside, without, empty = (
        Figure.median(seen[key]) for key in ("free", "nested", "beside", "without", "empty")
    )
    return [
        Row("pool.connection(), enter and exit, one free", free, checks=(Check.below(free, 5e-6),)),
        Row("pool.connection(), nested", nested, checks=(Check.below(nested, 5e-6),)),
        Row(
            "connected call, client, beside a pool",
            beside,
            empty,
            checks=(Check.at_most(beside, 1.25, without, "the call without a pool"),),
            note=f"without a pool: {without}",
        ),
    ]


def _waiter_row(head: RayHead) -> Row:
    seen: Fields = fields(_WAITERS, head.client_address, env=head.env())
    figure = Figure(seen["seconds"])
    share = seen["waiting"] - seen["idle"]
    return Row(
        "1,000 threads wait for one connection: until all had it",
        figure,
        checks=(
            Check.below(figure, 5.0),
            Check(f"all served (are {seen['served']})", seen["served"] == 1000),
            Check(f"in order ({seen['out_of_order']} are not)", seen["out_of_order"] == 0),
            Check(f"wait with < 10% of a core (is {share:.1%})", share < 0.1),
        ),
    )


def _replaced_row(head: RayHead) -> Row:
    with Program(_REPLACED, head.client_address, env=head.env()) as program:
        for number in range(_KILLED):
            program.wait_for_mark(f"ready {number}", 90)
            victim = head.client_servers()[-1]
            send_signal(victim.pid, signal.SIGKILL)
            program.tell(str(time.monotonic()))
        program.wait_for_mark(f"ready {_KILLED}", 90)
        seen = program.fields_so_far()
    figure = Figure.median(seen["replaced"])
    return Row(
        "a connection's server process dies: until another is free",
        figure,
        checks=(Check.below(figure, 3.0),),
        note=f"the longest of {_KILLED}: {max(seen['replaced']):.2f} s; "
        f"noticed after {Figure.median(seen['noticed'])}",
    )
