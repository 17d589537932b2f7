"""A forked child of a connected process: how soon it knows, and how soon it can leave."""

from __future__ import annotations

from benches.connects import MODES, address_of
from benches.figures import Check, Figure, Row
from benches.lab import Capped, Fields, Lab, fields, median_of

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


def rows(lab: Lab) -> list[Row]:
    """First answer and exit of the child, natively and with Ray Client."""
    head = lab.head
    addresses = [address_of(head, mode) for mode in MODES]
    ours = [[fields(_FORK, address, env=head.env()) for _ in range(3)] for address in addresses]
    capped = Capped()
    bare = [capped.run(_BARE_FORK, address, env=head.env()) for address in addresses]
    found: list[Row] = []
    for mode, samples, ray in zip(MODES, ours, bare, strict=True):
        found += _rows_of(mode, samples, ray.result())
    return found


def _rows_of(mode: str, ours: list[Fields], bare: Figure) -> list[Row]:
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
