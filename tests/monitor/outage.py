"""One head that freezes, thaws, dies and comes back, and the services that live through it.

All of them at once: an outage takes its time, and each service needs one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from seedcore_ray.testing import RayHead
from tests.support import Program, ProgramResult, wait_until
from tests.support.monitored import start
from tests.support.scenario import RAY_VERSION

ENDS_CALLS = tuple(map(int, RAY_VERSION.split(".")[:2])) >= (2, 44)
"""Whether a call that is blocked in this Ray can be ended, as ``release="always"`` does."""

# While more than these start, each takes longer than its time.
_AT_ONCE = 3
_UP_S = 90.0
_STEP_S = 60.0

# Rides through, looks around in between, and is told when to end.
_RIDES = """
handle = connected(sys.argv[1])
await_state("lost", "reconnecting")
looks = {name: timed(function) for name, function in {
    "ensure": ensure_ray_initialized, "connect": caught, "available": is_ray_available,
    "connected": is_connected, "info": get_ray_cluster_info,
}.items()}
report(looks=looks)
await_state("reconnecting")
report(waiting=[caught(), error(), held()["state"]])
mark("waits")
await_true(lambda: "reconnected" in names())
report(back=[task(), state(), ensure_ray_initialized(), is_ray_available(), error()],
       generation=seedcore_ray.generation())
try:
    report(old=ray.get(handle.ping.remote(), timeout=20))
except Exception as raised:
    report(old=words(raised))
await_true(lambda: len(names()) >= 6)
report(warnings=logged("WARNING"), errors=logged("ERROR"), infos=logged("INFO"))
mark("done")
"""
_BLOCKED = """
release, where = sys.argv[2:]
connected(sys.argv[1], release=release)
never = ray.remote(lambda: None).options(resources={"nowhere": 1}).remote()
def wait():
    try:
        ray.get(never)
    except BaseException as raised:
        report(call=words(raised))
        raise
def tell():
    while True:
        report(errors=logged("ERROR"), warnings=logged("WARNING"))
        time.sleep(0.1)
threading.Thread(target=tell, daemon=True).start()
if where == "main":
    wait()
elif where == "executor":
    import asyncio
    async def serve():
        await asyncio.get_running_loop().run_in_executor(None, wait)
    asyncio.run(serve())
"""
_BLOCKED_THREAD = (
    _BLOCKED
    + """
thread = threading.Thread(target=wait, name="a-worker-of-the-service", daemon=True)
thread.start()
refused = set()
def put():
    while True:
        try:
            ray.get([])
        except BaseException as raised:
            refused.add(words(raised))
        time.sleep(0.01)
threading.Thread(target=put, name="a-busy-thread", daemon=True).start()
await_state("reconnecting")
thread.join(60)
report(alive=thread.is_alive(), refused=sorted(refused))
shutdown_ray()
report(after_shutdown=state())
mark("waits")
sys.stdin.read()
report(generation=seedcore_ray.generation(), at_the_end=state(), names=names())
"""
)
_LEAVES = """
import signal
handle = connected(sys.argv[1])
sys.stdin.readline()
wanted, how = sys.argv[2:]
await_state(wanted)
report(left_in=state())
if wanted == "lost":
    from seedcore_ray._ray import release
    await_true(release._under_way.locked)
    report(child=in_child(7))
if how == "exit":
    sys.exit(3)
elif how == "raise":
    raise RuntimeError("meant")
os.kill(os.getpid(), getattr(signal, how))
time.sleep(30)  # it does not come to the end of this
"""


class Outage:
    """What became of each service, by name."""

    def __init__(self) -> None:
        self.ended: dict[str, ProgramResult] = {}
        self.recovered: dict[str, list[str]] = {}
        """What the riders had heard when the frozen GCS answered again."""
        self._programs: dict[str, Program] = {}

    def fields(self, name: str) -> dict[str, Any]:
        """What a service reported."""
        return self.ended[name].fields

    def play(self, head: RayHead) -> Outage:
        """The whole of it."""
        try:
            self._start_all(head)
            self._freeze(head)
            # The raylet lives, so that who waits for a task goes on waiting.
            head.kill("gcs_server")
            head.kill("proxier")
            for name in LEAVERS:
                self._programs[name].tell("it is dead")
            staying = [name for name in ("always thread", *RIDERS) if name in self._programs]
            self._finish(*(name for name in self._programs if name not in staying))
            for name in staying:
                self._programs[name].wait_for_mark("waits", _STEP_S)
            head.restart()
            for name in RIDERS:
                self._programs[name].wait_for_mark("done", _STEP_S)
            for name in staying:
                self._programs[name].close_stdin()
            self._finish(*staying)
        finally:
            for program in self._programs.values():
                program.__exit__()
        return self

    def _start_all(self, head: RayHead) -> None:
        waiting = _services(head)
        while waiting:
            names = list(waiting)[:_AT_ONCE]
            for name in names:
                source, *args = waiting.pop(name)
                self._programs[name] = start(source, *args, env=head.env())
            for name in names:
                self._programs[name].wait_for_mark("up", _UP_S)

    def _freeze(self, head: RayHead) -> None:
        head.freeze("gcs_server")
        try:
            self._await_heard("unhealthy")
            time.sleep(1)  # that it stays so, and is said once
        finally:
            head.thaw("gcs_server")
        self._await_heard("recovered")
        self.recovered = {name: self._heard(name) for name in RIDERS}

    def _await_heard(self, event: str) -> None:
        def all_have() -> bool:
            return all(event in self._heard(name) for name in RIDERS)

        wait_until(all_have, _STEP_S, f"all to hear {event}")

    def _heard(self, name: str) -> list[str]:
        return [event["name"] for event in self._programs[name].fields_so_far().get("heard", [])]

    def _finish(self, *names: str) -> None:
        for name in names:
            if name not in self.ended:
                self.ended[name] = self._programs[name].finish(_STEP_S)


RIDERS = ("native", "client")
LEAVERS: Mapping[str, tuple[str, str, str]] = {
    "native, unhealthy, an exception": ("native", "unhealthy", "raise"),
    "native, being released, sys.exit": ("native", "lost", "exit"),
    "native, waiting, Ctrl-C": ("native", "reconnecting", "SIGINT"),
    "native, unhealthy, SIGTERM": ("native", "unhealthy", "SIGTERM"),
    "client, unhealthy, Ctrl-C": ("client", "unhealthy", "SIGINT"),
}


def _services(head: RayHead) -> dict[str, tuple[str, ...]]:
    addresses = {"native": head.gcs_address, "client": head.client_address}
    native = addresses["native"]
    return {
        **{mode: (_RIDES, address) for mode, address in addresses.items()},
        **(_always(native) if ENDS_CALLS else {}),
        "auto thread": (_BLOCKED_THREAD, native, "auto", "thread"),
        "never main": (_BLOCKED, native, "never", "main"),
        **{
            name: (_LEAVES, addresses[mode], state, how)
            for name, (mode, state, how) in LEAVERS.items()
        },
    }


def _always(address: str) -> dict[str, tuple[str, ...]]:
    return {
        "always main": (_BLOCKED, address, "always", "main"),
        "always executor": (_BLOCKED, address, "always", "executor"),
        "always thread": (_BLOCKED_THREAD, address, "always", "thread"),
    }
