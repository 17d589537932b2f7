"""Bad days: an open breaker, tokens, TLS, a forked child, asyncio.

The second group. A row whose feature does not exist yet is skipped and says so.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from benches.connects import MODES, NET, address_of
from benches.failures import Failure, compared
from benches.figures import Check, Figure, Row, show
from benches.lab import Capped, Fields, Lab, fields, median_of, rounds
from seedcore_ray.testing import RayHead
from tests.support.certs import Authority
from tests.support.peers import closed_port
from tests.support.secrets import TOKEN

# Each round is a process of its own, and there are eight such rows.
_ROUNDS = 3

_BREAKER = """
    import logging, sys, timeit
    from functools import partial
    import seedcore_ray
    from seedcore.utils.ray_utils import ensure_ray_initialized

    logging.getLogger("seedcore_ray").addHandler(logging.NullHandler())
    address = sys.argv[1]
    ensure_ray_initialized(address, connect_timeout_s=0.6)
    ensure_ray_initialized(address)
    kind = str(seedcore_ray.last_error().kind)
    samples = []
    if kind == "circuit_open":
        timer = timeit.Timer("call()", globals={"call": partial(ensure_ray_initialized, address)})
        samples = [timer.timeit(20_000) / 20_000 for _ in range(15)]
    report(kind=kind, samples=samples)
"""
# The child answers and leaves through sys.exit, so that every exit hook runs.
_FORK = """
    import os, sys, time
    import seedcore_ray
    from seedcore.utils.ray_utils import ensure_ray_initialized

    assert ensure_ray_initialized(sys.argv[1])
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        began = time.perf_counter()
        answer = ensure_ray_initialized(sys.argv[1])
        report(answer=answer, first=time.perf_counter() - began)
        sys.exit(3)
    began = time.perf_counter()
    status = 0
    while time.perf_counter() - began < 10 and not status:
        pid, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.002)
    ended = time.perf_counter() - began
    if not status:
        os.kill(child, 9)
        os.waitpid(child, 0)
    report(seconds=ended, rc=os.waitstatus_to_exitcode(status) if status else None)
"""
_BARE_FORK = """
    import os, sys, time, ray
    ray.init(sys.argv[1], logging_level="ERROR")
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        sys.exit(3)
    mark("go")
    began = time.perf_counter()
    os.waitpid(child, 0)
    report(seconds=time.perf_counter() - began)
"""
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
    """All of the second group."""
    plain = lab.head
    found = [_breaker_row()]
    found += _fork_rows(plain)
    found += [_async_row(plain, mode) for mode in MODES]
    found += [_gap_row(plain, mode) for mode in MODES]
    with tempfile.TemporaryDirectory(prefix="srb-") as directory:
        authority = Authority(Path(directory))
        client = authority.issue("client").env()
        found += compared(
            [
                Failure(
                    f"TLS against a plaintext head, {mode}",
                    address,
                    "tls",
                    env=client,
                    rounds=_ROUNDS,
                )
                for mode, address in _both(plain)
            ]
        )
        lab.stop_head()
        with RayHead(token=TOKEN) as head:
            found += _token_rows(head)
        with RayHead(tls=authority.issue("head")) as head:
            found += _tls_rows(head, client)
    return found


def _both(head: RayHead) -> list[tuple[str, str]]:
    return [(mode, address_of(head, mode)) for mode in MODES]


def _breaker_row() -> Row:
    what = "call while the breaker is open"
    seen = fields(_BREAKER, f"127.0.0.1:{closed_port()}")
    if not seen["samples"]:
        return Row(what, note=f"no breaker: the second call's cause is {seen['kind']}")
    figure = Figure.median(seen["samples"])
    return Row(what, figure, checks=(Check.below(figure, 1e-6),))


def _fork_rows(head: RayHead) -> list[Row]:
    ours = [
        [fields(_FORK, address, env=head.env()) for _ in range(3)] for _, address in _both(head)
    ]
    capped = Capped()
    bare = [capped.run(_BARE_FORK, address, env=head.env()) for _, address in _both(head)]
    found: list[Row] = []
    for mode, samples, ray in zip(MODES, ours, bare, strict=True):
        found += _fork_rows_of(mode, samples, ray.result())
    return found


def _fork_rows_of(mode: str, ours: list[Fields], bare: Figure) -> list[Row]:
    first, ended = median_of(ours, "first"), median_of(ours)
    codes = {sample["rc"] for sample in ours}
    return [
        Row(
            f"forked child of a connected process: first answer, {mode}",
            first,
            checks=(
                Check.below(first, 1e-3),
                Check("answers False", not any(sample["answer"] for sample in ours)),
            ),
        ),
        Row(
            f"forked child of a connected process: exit, {mode}",
            ended,
            ray=bare,
            checks=(Check.below(ended, 1.0), Check(f"exit code 3 (is {codes})", codes == {3})),
        ),
    ]


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


def _token_rows(head: RayHead) -> list[Row]:
    bad = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "not-the-token-of-this-head-0123456789"}
    return compared(
        [
            Failure(f"{what} token, {mode}", address, "auth", env=env, rounds=_ROUNDS)
            for what, env in (("bad", bad), ("missing", {}))
            for mode, address in _both(head)
        ]
    )


def _tls_rows(head: RayHead, client: dict[str, str]) -> list[Row]:
    plaintext = [
        Failure(f"plaintext against a TLS head, {mode}", address, "tls", rounds=_ROUNDS)
        for mode, address in _both(head)
    ]
    samples: list[Fields] = [
        fields(NET, head.gcs_address, env={**head.env(), **client}) for _ in range(5)
    ]
    figure = median_of(samples)
    preflight = Row(
        "over mutual TLS, cold: our call minus ray.init inside it",
        figure,
        checks=(Check.below(figure, 15e-3),),
    )
    return [*compared(plaintext), preflight]
