"""The services that a scenario happens to: one process each, on bare Ray, a helper or ours."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Literal

from benches.lab import REFERENCE_ENV
from seedcore_ray.testing.processes import is_alive
from tests.support.programs import Program, ProgramResult

Mode = Literal["native", "client"]
Who = Literal["bare", "helper", "ours"]
Blocked = Literal["", "main", "thread", "executor", "reader", "asker", "exporter"]

UP_S = 120.0
"""Many services start at once, on few cores."""

# CLOCK_MONOTONIC is one clock for all processes of a machine.
_BEGIN = """
    import os, signal, sys, threading, time
    import ray

    address, release, blocked, far = sys.argv[1:5]
    said = []
    over = threading.Event()

    speech = threading.Lock()

    def say(what, **more):
        with speech:
            said.append({"at": time.monotonic(), "what": what, **more})
            report(said=said)

    def words(error):
        return f"{type(error).__name__}: {error}".splitlines()[0][:200]
"""
_BARE = """
    ray.init(address, namespace="resilience", logging_level="ERROR")

    def is_up():
        try:
            return ray.is_initialized()
        except Exception:
            return False

    is_connected = is_up
"""
# The usual one, benches/reference.py, asked again before each piece of work, as services do.
_HELPER = """
    import reference

    def is_up():
        return reference.ensure_ray_initialized(address, "resilience", logging_level="ERROR")

    is_connected = reference.is_ray_available
    assert is_up()
"""
_WATCH = """
    def state():
        return None

    def watch():
        while is_connected():
            time.sleep(0.05)
        say("not initialized")

    threading.Thread(target=watch, daemon=True).start()
"""
_OURS = """
    import logging
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    import seedcore_ray

    def heard(event):
        cause = event.cause and event.cause.kind
        say(event.name, cause=cause, after_s=event.after_s, generation=event.generation)

    seedcore_ray.on_event(heard)
    seedcore_ray.start_monitor(release=release)
    assert seedcore_ray.ensure_ray_initialized(address, "resilience")

    def state():
        return seedcore_ray.connection().state

    def is_up():
        return state() == "connected"
"""
_CONNECT: dict[Who, str] = {"bare": _BARE + _WATCH, "helper": _HELPER + _WATCH, "ours": _OURS}
_WORK = """
    class Counter:
        count = 0

        def ping(self):
            return 42

        def add(self):
            self.count += 1
            return self.count

    # On the node with that resource, which is not the driver's.
    there = {"num_cpus": 0, "resources": {far: 0.001} if far else {}}
    handle = ray.remote(Counter).options(**there).remote()
    ref = ray.put("kept")
    assert ray.get(handle.ping.remote()) == 42

    def task():
        return ray.get(ray.remote(lambda: 42).options(num_cpus=0).remote(), timeout=5)

    # What is slow on several machines is not lost.
    patience = 15 if far else 5
    olds = {
        "old handle": lambda: ray.get(handle.ping.remote(), timeout=patience),
        "old ref": lambda: ray.get(ref, timeout=patience),
    }
    if far:
        own = f"kept-{os.urandom(8).hex()}"
        kept = ray.remote(Counter).options(name=own, lifetime="detached", **there).remote()
        assert ray.get([kept.add.remote() for _ in range(3)]) == [1, 2, 3]

        def count_on():
            count = ray.get(ray.get_actor(own).add.remote(), timeout=patience)
            assert count > 3, f"its state is lost: {count}"

        olds["detached actor"] = count_on

    failures = set()

    def fail(name, failure):
        if (name, failure) not in failures:
            say(name + " failed", error=failure)
        failures.add((name, failure))

    def attempt(name, call):
        done = []

        def run():
            try:
                call()
            except BaseException as error:
                fail(name, words(error))
            else:
                done.append(True)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(patience + 3)
        if done:
            say(name)
        elif thread.is_alive():
            fail(name, "TimeoutError: the call does not end")
        return bool(done)

    def work():
        while not over.is_set():
            if is_up():
                if attempt("task", task):
                    return
                time.sleep(0.2)
            time.sleep(0.02)

    def obey():
        for line in sys.stdin:
            order = line.strip()
            if order == "work":
                threading.Thread(target=work, daemon=True).start()
            elif order == "try the old":
                for name, call in olds.items():
                    attempt(name, call)
                say("tried the old")
            elif order == "fork":
                forks.set()
            elif order == "over":
                over.set()
            else:
                how.append(order)
                over.set()

    how = ["return"]
    forks = threading.Event()

    # On the main thread: a child that was forked by another one ends with that thread.
    def fork():
        child = os.fork()
        if child == 0:
            names = [thread.name for thread in threading.enumerate()]
            say("child", threads=[name for name in names if name.startswith("seedcore")])
            sys.exit(7)
        began, status = time.monotonic(), 0
        while not status and time.monotonic() < began + 20:
            _, status = os.waitpid(child, os.WNOHANG)
            time.sleep(0.01)
        if not status:
            os.kill(child, 9)
            os.waitpid(child, 0)
        rc = os.waitstatus_to_exitcode(status) if status else None
        say("child ended", rc=rc, seconds=time.monotonic() - began)

    never = ray.remote(lambda: None).options(resources={"nowhere": 1}).remote()

    def blocked_call():
        try:
            ray.get(never)
        except BaseException as error:
            say("blocked call ended", error=words(error))
            raise

    def again_and_again(call):
        # Whatever it raises; only the first error is told.
        told = False
        while not over.wait(0.01):
            try:
                call()
            except BaseException as error:
                if not told:
                    say("blocked call ended", error=words(error))
                told = True

    def reader():
        again_and_again(ray.cluster_resources)

    def exporter():
        again_and_again(lambda: ray.remote(lambda: None).options(num_cpus=0).remote())

    def asker():
        name = f"counter-{os.getpid()}"
        kept = ray.remote(Counter).options(num_cpus=0, name=name).remote()
        again_and_again(lambda: (kept, ray.get_actor(name)))

    threading.Thread(target=obey, daemon=True).start()
    mark("up")
    if blocked == "main":
        blocked_call()
    elif blocked == "thread":
        threading.Thread(target=blocked_call, name="worker", daemon=True).start()
    elif blocked == "reader":
        threading.Thread(target=reader, name="reader", daemon=True).start()
    elif blocked == "exporter":
        threading.Thread(target=exporter, name="exporter", daemon=True).start()
    elif blocked == "asker":
        threading.Thread(target=asker, name="asker", daemon=True).start()
    if blocked == "executor":
        import asyncio

        async def serve():
            await asyncio.get_running_loop().run_in_executor(None, blocked_call)

        asyncio.run(serve())
    while not over.wait(0.02):
        if forks.is_set():
            forks.clear()
            fork()
    say("leaving", state=state())
    if how[-1] == "raise":
        raise RuntimeError("meant")
    elif how[-1] == "exit":
        sys.exit(3)
    elif how[-1] in ("SIGINT", "SIGTERM"):
        os.kill(os.getpid(), getattr(signal, how[-1]))
        time.sleep(1)
"""


@dataclass(frozen=True)
class Service:
    """A kind of service: who connects it, how, what it is blocked in, how it is to be released."""

    who: Who
    mode: Mode
    blocked: Blocked = ""
    release: str = "auto"
    leaves: str = "return"
    far: str = ""
    """A resource of the node that its actors are to be on, one of them detached."""

    def start(
        self, address: str, env: Mapping[str, str], python: str, place: Sequence[str] = ()
    ) -> Running:
        """One of them, connecting. ``place`` is the command that runs it where it is to be."""
        source = _BEGIN + _CONNECT[self.who] + _WORK
        env = {**env, **(REFERENCE_ENV if self.who == "helper" else {})}
        arguments = (address, self.release, self.blocked, self.far)
        return Running(self, Program(source, *arguments, env=env, python=python, prefix=place))


@dataclass(frozen=True)
class End:
    """How and when a process ended. ``None`` as rc: it did not, and was killed."""

    rc: int | None
    at: float
    stderr: str


class Running:
    """A service's process, and all that it said."""

    def __init__(self, service: Service, program: Program) -> None:
        self.service = service
        self._program = program
        self._end: Future[End] | None = None

    def wait_until_up(self) -> None:
        """Connected and at work. From here on its end is watched for."""
        self._program.wait_for_mark("up", UP_S)
        self._threads = ThreadPoolExecutor(1)
        self._end = self._threads.submit(self._watch)

    def _watch(self) -> End:
        while is_alive(self._program.pid):
            time.sleep(0.02)
        at = time.monotonic()
        done: ProgramResult = self._program.finish(10)
        return End(done.rc, at, done.stderr)

    def tell(self, order: str) -> None:
        """Give it an order, unless it has ended."""
        if not self.has_ended:
            self._program.tell(order)

    @property
    def has_ended(self) -> bool:
        """Whether its process is gone."""
        return self._end is not None and self._end.done()

    @property
    def said(self) -> list[dict[str, Any]]:
        """What it has said, in order, each with the monotonic time."""
        return list(self._program.fields_so_far().get("said", []))

    def end(self, wait_s: float) -> End:
        """Its end, awaited for that long; then it is killed."""
        assert self._end is not None
        if wait([self._end], wait_s).done:
            return self._end.result()
        at = time.monotonic()
        self._program.kill()
        return End(None, at, self._end.result(30).stderr)

    def close(self) -> None:
        """Nothing of it is left."""
        self._program.kill()
        if self._end is not None:
            self._threads.shutdown()
