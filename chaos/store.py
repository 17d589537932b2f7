"""``results.json``: the last run on each Ray, one line for each service of a scenario.

What a service has in common with all others, the default of a field, is left out.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, Field, asdict, fields
from itertools import groupby
from pathlib import Path
from typing import Any

from chaos.outcome import Outcome
from tests.support.rows import dumps

_FILE = Path(__file__).with_name("results.json")


def read() -> dict[str, Any]:
    """By version of Ray: the circumstances of its ``run``, and its ``scenarios`` by key."""
    if not _FILE.exists():
        return {}
    return {
        ray: {"run": kept["run"], "scenarios": dict(_scenarios(kept["rows"]))}
        for ray, kept in json.loads(_FILE.read_text()).items()
    }


def write(results: dict[str, Any]) -> None:
    """Keep what ``read`` is to return."""
    _FILE.write_text(text(results))


def text(results: dict[str, Any]) -> str:
    """What ``write`` writes."""
    kept = {
        ray: {
            "run": result["run"],
            "rows": [
                {"scenario": key, "load": played["load"], **_row(one)}
                for key, played in result["scenarios"].items()
                for one in played["outcomes"]
            ],
        }
        for ray, result in results.items()
    }
    return dumps(kept) + "\n"


def _scenarios(rows: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for (key, load), of_one in groupby(rows, lambda row: (row.pop("scenario"), row.pop("load"))):
        found.append((key, {"load": load, "outcomes": [asdict(Outcome(**row)) for row in of_one]}))
    return found


def _row(outcome: dict[str, Any]) -> dict[str, Any]:
    # Of an error its type: the words differ from run to run.
    failures = {words.split(":")[0]: None for words in outcome["failures"]}
    call = outcome["call_ended"]
    short = {**outcome, "failures": list(failures), "call_ended": call and call.split(":")[0]}
    return {
        field.name: short[field.name]
        for field in fields(Outcome)
        if short[field.name] != _default(field)
    }


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()
