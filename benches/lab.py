"""Where measurements are made: the shared head, and programs in fresh processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benches.figures import Figure
from seedcore_ray.testing import RayHead
from tests.support.programs import Program, run_program

CAP_S = 35.0
"""Nobody waits longer for bare Ray."""

Fields = dict[str, Any]

# Ray and the reference at an address that cannot work. Either may raise, or never come back.
_RAY = """
    import os, sys, time, ray
    mark("go")
    began = time.perf_counter()
    try:
        ray.init(sys.argv[1], logging_level="ERROR")
        words = "connected"
    except BaseException as error:
        words = repr(error)
    report(seconds=time.perf_counter() - began, words=words)
    os._exit(0)
"""
_REFERENCE = """
    import os, sys, time, ray, reference
    mark("go")
    began = time.perf_counter()
    done = reference.ensure_ray_initialized(sys.argv[1], logging_level="ERROR")
    report(seconds=time.perf_counter() - began, words=str(done))
    os._exit(0)
"""
REFERENCE_ENV = {"PYTHONPATH": str(Path(__file__).parent)}


class Lab:
    """Runs programs and keeps one plain head for all groups that need one."""

    def __init__(self) -> None:
        self._head: RayHead | None = None

    @property
    def head(self) -> RayHead:
        """The shared plain head, started when first asked for."""
        if self._head is None:
            self._head = RayHead().start()
        return self._head

    def stop_head(self) -> None:
        """Stop the shared head: the next group needs its own, or none."""
        head, self._head = self._head, None
        if head is not None:
            head.stop()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop_head()


def fields(
    source: str, *args: str, env: Mapping[str, str] | None = None, deadline_s: float = 90.0
) -> Fields:
    """What a program reported that must end well."""
    return run_program(source, *args, env=env, deadline_s=deadline_s).ok().fields


def rounds(count: int, *variants: Callable[[], Fields]) -> list[list[Fields]]:
    """Run the variants in turn, ``count`` times: what disturbs the machine disturbs them all."""
    results: list[list[Fields]] = [[] for _ in variants]
    for _ in range(count):
        for result, variant in zip(results, variants, strict=True):
            result.append(variant())
    return results


def median_of(results: Sequence[Fields], key: str = "seconds") -> Figure:
    """The median of one reported field."""
    return Figure.median([float(result[key]) for result in results])


class Capped:
    """Programs that may take for ever, all at once, each stopped ``CAP_S`` after its call began.

    They wait far more than they compute, so side by side they do not disturb each other; nothing
    else is measured while they run.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=32)

    def ray(self, address: str, env: Mapping[str, str] | None = None) -> Future[Figure]:
        """``ray.init(address)``."""
        return self.run(_RAY, address, env=env)

    def reference(self, address: str, env: Mapping[str, str] | None = None) -> Future[Figure]:
        """The reference's ``ensure_ray_initialized(address)``."""
        return self.run(_REFERENCE, address, env={**REFERENCE_ENV, **(env or {})})

    def run(self, source: str, *args: str, env: Mapping[str, str] | None = None) -> Future[Figure]:
        """Any program that marks ``go`` and then reports ``seconds``."""
        return self._threads.submit(_run_capped, source, args, env)


def _run_capped(source: str, args: tuple[str, ...], env: Mapping[str, str] | None) -> Figure:
    with Program(source, *args, env=env) as program:
        program.wait_for_mark("go", 90)
        began = time.perf_counter()
        try:
            done = program.finish(CAP_S)
        except TimeoutError:
            return Figure(CAP_S, capped=True)
    ended_after = time.perf_counter() - began
    # No report: Ray ended the process by itself, which is an answer too.
    value = done.fields["seconds"] if done.rc == 0 else ended_after
    return Figure(value, samples=(value,))
