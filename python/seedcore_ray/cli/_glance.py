"""What ``doctor`` shows on a terminal: the diagnosis first, then only what led to it.

All the rest is in the full report: the clock of each hop, why a hop was skipped, the whole id of
the cluster, the files of the drop-in modules and the settings at their defaults.
"""

from __future__ import annotations

from seedcore_ray import _hook_status
from seedcore_ray.cli._config import at_default, table
from seedcore_ray.cli._output import columns, duration, sentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from seedcore_ray.cli._output import Console

_INDENT = "  "
_ID = 12


def glance(console: Console, here: dict[str, Any], found: dict[str, Any]) -> Iterator[str]:
    """The lines, from what the full report is made of, too."""
    diagnosis = found["diagnosis"]
    yield from _diagnosis(console, diagnosis)
    for candidate in found["candidates"]:
        yield from _candidate(console, candidate, diagnosis["sentence"])
    yield from ("", console.style("this process", "strong"))
    yield from _process(console, here)
    yield from _settings(console, found["settings"])


def _diagnosis(console: Console, diagnosis: dict[str, Any]) -> Iterator[str]:
    verdict = "ok" if diagnosis["exit_code"] == 0 else "failed"
    kind = diagnosis["kind"] or verdict
    width = columns([(kind,), ("next",)])[0]
    for label, style, text in (
        (kind, verdict, sentence(diagnosis["sentence"])),
        ("next", "strong", diagnosis["next"]),
    ):
        yield f"{console.style(f'{label:{width}}', style)}  {console.wrapped(text, width + 2)}"


def _candidate(console: Console, candidate: dict[str, Any], told: str) -> Iterator[str]:
    kind = "fallback " if candidate["is_fallback"] else ""
    kind = "standby " if candidate["is_standby"] else kind
    title = console.style(f"{kind}{candidate['address']}", "strong")
    if candidate["verdict"] == "skipped":
        yield from ("", f"{title}  {console.style('not tried, not needed', 'faint')}")
        return
    yield from ("", title)
    hops = candidate["hops"]
    skipped = [hop["name"] for hop in hops if hop["verdict"] == "skipped"]
    walked = [hop for hop in hops if hop["verdict"] != "skipped"]
    rows = [(hop["verdict"], hop["name"], _took(hop)) for hop in walked]
    widths = columns([*rows, ("skipped", "", "")])
    indent = len(_INDENT) + sum(widths) + 2 * len(widths)
    for hop, (verdict, name, took) in zip(walked, rows, strict=True):
        detail = console.wrapped(_short(hop["detail"], candidate["cluster_id"]), indent)
        if verdict == "failed" and hop["detail"] in told:
            detail = f"{candidate['error']['kind']}, as said above"
        cells = (
            console.style(f"{verdict:{widths[0]}}", verdict),
            f"{name:{widths[1]}}",
            console.style(f"{took:>{widths[2]}}", "faint"),
            detail,
        )
        yield _INDENT + "  ".join(cells)
    if skipped:
        margin = len(_INDENT) + widths[0] + 2
        names = console.wrapped(", ".join(skipped), margin)
        yield console.style(f"{_INDENT}{'skipped':{widths[0]}}  {names}", "faint")


def _short(detail: str, cluster_id: str | None) -> str:
    """Without most of a cluster's id, which has no place in 80 columns."""
    return detail.replace(cluster_id, f"{cluster_id[:_ID]}...") if cluster_id else detail


def _took(hop: dict[str, Any]) -> str:
    return "" if hop["took_s"] is None else duration(hop["took_s"])


def _process(console: Console, here: dict[str, Any]) -> Iterator[str]:
    ray = f"Ray {here['ray']}" if here["ray"] else "no Ray"
    versions = f"seedcore-ray {here['seedcore_ray']}, {ray}, Python {here['python']}"
    yield _INDENT + console.wrapped(versions, len(_INDENT))
    if _hook_status.problem(here["modules"]) is None:
        return
    rows = _hook_status.rows(here["modules"])
    width = columns(rows)[0]
    for name, value in rows:
        margin = len(_INDENT) + width + 2
        yield f"{_INDENT}{name:{width}}  {console.wrapped(value, margin)}"


def _settings(console: Console, settings: list[dict[str, Any]]) -> Iterator[str]:
    chosen = [one for one in settings if not at_default(one) or one["note"] is not None]
    yield from table(console, chosen, _INDENT)
    others = len(settings) - len(chosen)
    text = f"{others} settings at their defaults; --full shows them, and all the rest"
    yield _INDENT + console.style(console.wrapped(text, len(_INDENT)), "faint")
