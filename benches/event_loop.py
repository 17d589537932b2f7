"""Connecting on an event loop: what the async twin costs, and how long it holds the loop up."""

from __future__ import annotations

from functools import partial

from benches.connects import MODES, address_of
from benches.figures import Check, Row, show
from benches.lab import Lab, fields, median_of, rounds
from seedcore_ray.testing import RayHead

_ASYNC = """
    import asyncio, sys, time
    import ray, seedcore_ray
    from seedcore.utils import ray_utils

    name = "ensure_ray_initialized_async"
    twin = getattr(ray_utils, name, None) or getattr(seedcore_ray, name, None)
    if twin is None:
        report(missing=name)
        sys.exit()

    inside = time_ray_init(ray)

    async def main():
        began = time.perf_counter()
        assert await twin(sys.argv[1])
        whole = time.perf_counter() - began
        report(seconds=whole - inside[0], whole=whole)

    asyncio.run(main())
"""
_SYNC = """
    import sys, time
    import ray
    from seedcore.utils.ray_utils import ensure_ray_initialized

    inside = time_ray_init(ray)
    began = time.perf_counter()
    assert ensure_ray_initialized(sys.argv[1])
    whole = time.perf_counter() - began
    report(seconds=whole - inside[0], whole=whole)
"""
# The longest time that a task which sleeps for 1 ms was kept from running.
_GAP = """
    import asyncio, gc, sys, time
    import ray
    from seedcore_ray import ensure_ray_initialized_async

    gc.disable()  # a full collection is a gap of its own

    async def main(connect):
        gaps = []
        async def tick():
            while True:
                before = time.perf_counter()
                await asyncio.sleep(1e-3)
                gaps.append(time.perf_counter() - before - 1e-3)
        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0.05)
        gaps.clear()
        await connect(sys.argv[1])
        ticking.cancel()
        report(seconds=max(gaps), ticks=len(gaps))

    async def by_hand(address):
        def init():
            ray.init(address, logging_level="ERROR", log_to_driver=False)
        await asyncio.get_running_loop().run_in_executor(None, init)

    connect = ensure_ray_initialized_async if sys.argv[2] == "ours" else by_hand
    asyncio.run(main(connect))
"""
# The same while 200 refs that were just made are awaited at once; the median of five tries.
_AWAITS = """
    import asyncio, gc, sys, time
    import ray

    gc.disable()
    if sys.argv[2] == "ours":
        from seedcore.utils.ray_utils import ensure_ray_initialized
        assert ensure_ray_initialized(sys.argv[1])
    else:
        ray.init(sys.argv[1], logging_level="ERROR", log_to_driver=False)
    echo = ray.remote(num_cpus=0)(lambda value: value)

    async def tick(gaps):
        while True:
            before = time.perf_counter()
            await asyncio.sleep(1e-3)
            gaps.append(time.perf_counter() - before - 1e-3)

    async def wait(ref):
        return await ref

    async def longest():
        refs = [echo.remote(number) for number in range(200)]
        gaps = []
        ticking = asyncio.create_task(tick(gaps))
        assert await asyncio.gather(*map(wait, refs)) == list(range(200))
        await asyncio.sleep(5e-3)
        ticking.cancel()
        return max(gaps)

    async def main():
        await echo.remote(0)
        report(seconds=sorted([await longest() for _ in range(5)])[2])

    asyncio.run(main())
"""
# Ray's own time varies by more than the 20 ms in question, so both calls are compared without it.
_TIMED = """
    def time_ray_init(ray):
        import time
        inside, init = [], ray.init
        def timed(*args, **kwargs):
            began = time.perf_counter()
            try:
                return init(*args, **kwargs)
            finally:
                inside.append(time.perf_counter() - began)
        ray.init = timed
        return inside
"""


def rows(lab: Lab) -> list[Row]:
    """Natively and with Ray Client."""
    whole = [_async_row(lab.head, mode) for mode in MODES]
    gaps = [_gap_row(lab.head, mode) for mode in MODES]
    return [*whole, *gaps, _awaits_row(lab.head)]


def _async_row(head: RayHead, mode: str) -> Row:
    what = f"async connect beside sync connect, both without ray.init, {mode}"
    address, env = address_of(head, mode), head.env()
    asked, blocked = _TIMED + _ASYNC, _TIMED + _SYNC
    if "missing" in (tried := fields(asked, address, env=env)):
        return Row(what, note=f"no {tried['missing']}")
    twin, sync = rounds(
        7, partial(fields, asked, address, env=env), partial(fields, blocked, address, env=env)
    )
    ours, beside = median_of(twin), median_of(sync)
    apart = abs(ours.value - beside.value)
    whole = f"whole calls {median_of(twin, 'whole')} and {median_of(sync, 'whole')}"
    return Row(
        what,
        ours,
        checks=(Check(f"within 20 ms of {beside} (is {apart * 1e3:.1f} ms)", apart <= 20e-3),),
        note=whole,
        extra={"sync": sync},
    )


def _gap_row(head: RayHead, mode: str) -> Row:
    ask = partial(fields, _GAP, address_of(head, mode))
    ours, bare = rounds(
        7, partial(ask, "ours", env=head.env()), partial(ask, "bare", env=head.env())
    )
    gap, beside = median_of(ours), median_of(bare)
    longest = " and ".join(show(max(figure.samples), "s") for figure in (gap, beside))
    return Row(
        f"event loop's longest gap during an async connect, {mode}",
        gap,
        ray=beside,
        checks=(Check.below(gap, 20e-3),),
        note=f"the longest of {len(ours)} each: {longest}",
    )


def _awaits_row(head: RayHead) -> Row:
    ask = partial(fields, _AWAITS, head.client_address)
    ours, bare = rounds(
        3, partial(ask, "ours", env=head.env()), partial(ask, "bare", env=head.env())
    )
    gap = median_of(ours)
    return Row(
        "event loop's longest gap while 200 refs are awaited at once, client",
        gap,
        ray=median_of(bare),
        checks=(Check.below(gap, 15e-3),),
    )
