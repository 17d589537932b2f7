"""What two pods send each other, carried by this process: late, in part, or not at all.

``tc netem`` would be the tool for it, where the kernel has it; this works on every kernel with
``/dev/net/tun``. What it swallows is gone without a word to the sender: no RST, no ICMP, no error
of ``send``.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import random
import select
import struct
import threading
import time
from dataclasses import dataclass
from itertools import count

from chaos.pods import Pod, run

_TUN = "/dev/net/tun"
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_LONGEST = 65_536
_IDLE_S = 0.1
_numbers = count()


@dataclass(frozen=True)
class Carrying:
    """How one direction carries packets."""

    loss: float = 0.0
    delay_s: float = 0.0


WELL = Carrying()
NOT_AT_ALL = Carrying(loss=1.0)


class Wire:
    """The way between two pods until ``close``. Connections that are open go on over it."""

    def __init__(self, one: Pod, other: Pod, there: Carrying = WELL, back: Carrying = WELL) -> None:
        ends = (_End(one, other, there), _End(other, one, back))
        self._ends = {end.file: end for end in ends}
        self._other_end = {ends[0].file: ends[1].file, ends[1].file: ends[0].file}
        # The same losses in every run, as far as the packets are the same.
        self._chance = random.Random(1)
        self._under_way: list[tuple[float, int, int, bytes]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="wire", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The bridge carries it all again; what is under way is lost."""
        self._over.set()
        self._thread.join()
        for end in self._ends.values():
            end.close()

    def _work(self) -> None:
        numbers = count()
        while not self._over.is_set():
            due = self._under_way[0][0] - time.monotonic() if self._under_way else _IDLE_S
            ready, _, _ = select.select(list(self._ends), [], [], min(_IDLE_S, max(0.0, due)))
            for file in ready:
                how = self._ends[file].carrying
                packet = os.read(file, _LONGEST)
                if self._chance.random() >= how.loss:
                    arrives = time.monotonic() + how.delay_s
                    entry = (arrives, next(numbers), self._other_end[file], packet)
                    heapq.heappush(self._under_way, entry)
            while self._under_way and self._under_way[0][0] <= time.monotonic():
                _, _, to, packet = heapq.heappop(self._under_way)
                with contextlib.suppress(OSError):  # what a full queue does to it
                    os.write(to, packet)


class _End:
    """An interface in a pod, which is the way to another one; its packets are read from a file."""

    def __init__(self, pod: Pod, far: Pod, carrying: Carrying) -> None:
        self.carrying = carrying
        name = f"wire{next(_numbers)}"
        self.file = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        request = struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI)
        fcntl.ioctl(self.file, _TUNSETIFF, request)
        # Made here, moved there: the file stays ours.
        run("ip", "link", "set", name, "netns", pod.namespace)
        pod.run("ip", "link", "set", name, "up")
        pod.run("ip", "route", "add", f"{far.ip}/32", "dev", name, "src", pod.ip)

    def close(self) -> None:
        """Interface and route go with the file."""
        os.close(self.file)
