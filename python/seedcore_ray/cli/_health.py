"""``seedcore-ray health``: one bounded probe, for exec probes."""

from __future__ import annotations

import sys

from seedcore_ray import _core
from seedcore_ray.cli._output import Console, document, duration, sentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def health(address: str | None, timeout_s: float | None, as_json: bool) -> int:
    """Probe once and print the result.

    Args:
        address: as for a connect.
        timeout_s: bound of the whole probe; None is the probe timeout.
        as_json: print a document.

    Returns:
        0 when Ray answers, else the exit code of the cause.
    """
    return report("health", _core.look(address, timeout_s), as_json)


def report(command: str, seen: dict[str, Any], as_json: bool) -> int:
    """Print the result of ``look``, as a document or in words; returns its exit code."""
    console, code = Console(), int(seen["exit_code"])
    if as_json:
        names = ("address", "took_s", "error", "instead_of", "is_standby", "warnings")
        console.write(document(command, code, {name: seen[name] for name in names}))
        return code
    for warning in seen["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    if error := seen["error"]:
        console.write(f"{console.style(error['kind'], 'failed')}  {sentence(error['message'])}")
        console.write(error["hint"])
        return code
    asked = seen["instead_of"]
    stands_in = f" in place of {asked['address']}" if asked else ""
    who = f"the standby {seen['address']}" if seen["is_standby"] else seen["address"]
    answers = f"{who} answers{stands_in} in {duration(seen['took_s'])}"
    console.write(f"{console.style('ok', 'ok')}  {answers}")
    return code
