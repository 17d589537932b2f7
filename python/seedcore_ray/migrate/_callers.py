"""Who calls a home-made helper: a second look, over all files, for its name alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from seedcore_ray.migrate._model import Report

_SHOWN = 3


def name_callers(
    reports: list[Report], paths: Sequence[Path], helpers: Mapping[str, str]
) -> list[Report]:
    """The reports, with the callers in each finding of a helper.

    A name is looked for as text. One without "ray" in it is too common for that.
    """
    names = [name for name in helpers if "ray" in name.lower()]
    if not names:
        return reports
    used = _uses(names, paths)
    return [
        report._replace(
            findings=[
                finding._replace(message=finding.message + _told(used.get(name, [])))
                if finding.code == "RAY401" and (name := finding.message.strip("`")) in names
                else finding
                for finding in report.findings
            ]
        )
        for report in reports
    ]


def _uses(names: Sequence[str], paths: Sequence[Path]) -> dict[str, list[str]]:
    """The places of the calls, by name."""
    alternatives = "|".join(map(re.escape, names))
    pattern = re.compile(rf"(?<!def )\b({alternatives})[ ]*\(".encode())
    found: dict[str, list[str]] = {}
    for path in paths:
        data = path.read_bytes()
        for match in pattern.finditer(data):
            line = data.count(b"\n", 0, match.start()) + 1
            found.setdefault(match[1].decode(), []).append(f"{path}:{line}")
    return found


def _told(places: Sequence[str]) -> str:
    if not places:
        return ", which nothing here calls"
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return f", called at {', '.join(places[:_SHOWN])}{more}"
