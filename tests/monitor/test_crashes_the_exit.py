"""Processes that end with the monitor at work, many in the middle of a look: exit code kept."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import pytest

from seedcore_ray.testing import RayHead
from tests.support import ProgramResult, TcpRelay
from tests.support.exits import CONNECTED_CODES, END, SLOW_LOGS, check
from tests.support.scenario import run

# Each takes a second or two of a core.
_AT_ONCE = 2
_FEW, _MANY = 6, 294
# One in so many is a client: the head starts a server for each.
_CLIENTS = 3
# A look takes two of these, and the next is due before the last has ended.
_DELAY_S, _INTERVAL_S = 0.01, 0.02

_WATCHED = (
    "from monitoring import *\n"
    + SLOW_LOGS
    + f"""
seconds, how = float(sys.argv[1]), sys.argv[2]
@seedcore_ray.on_event
def slow(event):
    time.sleep(0.1)
seedcore_ray.start_monitor(interval_s={_INTERVAL_S})
assert ensure_ray_initialized()
connected = seedcore_ray.connection().last_probe.at
time.sleep(seconds)
probe = seedcore_ray.connection().last_probe
report(look_s=probe.duration_s if probe.at > connected else None)
"""
    + END
)


@dataclass(frozen=True)
class _Exit:
    address: str
    how: str
    after_s: float

    def play(self) -> ProgramResult:
        env = {"RAY_ADDRESS": self.address}
        return run(_WATCHED, f"{self.after_s:.3f}", self.how, env=env, deadline_s=90)


@contextmanager
def _slow_network(head: RayHead) -> Iterator[list[str]]:
    """Where the head can be reached, both ways."""
    doors = [address.rsplit(":", 1)[1] for address in (head.gcs_address, head.client_address)]
    native, client = (("127.0.0.1", int(port)) for port in doors)
    # Ray makes the machine's own address of a loopback one.
    with (
        TcpRelay(native, delay_s=_DELAY_S) as slow,
        TcpRelay(client, delay_s=_DELAY_S) as slow_client,
    ):
        yield [slow.address, slow_client.client_address]


def _play(head: RayHead, count: int, seed: int) -> None:
    chance, hows = random.Random(seed), list(CONNECTED_CODES)
    with _slow_network(head) as addresses, ThreadPoolExecutor(_AT_ONCE) as pool:
        exits = [
            _Exit(
                address=addresses[number % _CLIENTS == 0],
                how=hows[number % len(hows)],
                # From the very launch of the monitor on.
                after_s=chance.random() ** 2 * 0.5,
            )
            for number in range(count)
        ]
        looks = []
        for exit_, ended in zip(exits, pool.map(_Exit.play, exits), strict=True):
            check(ended, exit_.how, CONNECTED_CODES[exit_.how], exit_)
            looks.append(ended.fields["look_s"])
    taken = [seconds for seconds in looks if seconds is not None]
    print(f"{count} clean exits; {len(taken)} after the first look, {median(taken):.3f} s each")
    assert len(taken) >= count / 4, "these were being looked at"
    assert median(taken) > _INTERVAL_S / 2, "and that took most of the time"


@pytest.mark.timeout(180)
def test_a_few_exits_at_random_moments(ray_head: RayHead) -> None:
    _play(ray_head, _FEW, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(2400)
def test_the_rest_of_three_hundred_exits(ray_head: RayHead) -> None:
    _play(ray_head, _MANY, seed=2)
