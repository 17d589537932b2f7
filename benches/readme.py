"""Writes the README's table from ``benches/results.json``, between its two markers."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benches.figures import Figure

_ROOT = Path(__file__).parent.parent
_BEGIN, _END = "<!-- bench:begin -->\n", "<!-- bench:end -->"

# The README has room for what a user notices; the chart has every row. Row name, name for readers.
_ROWS = {
    "connected call, native": "a call while connected, native",
    "connected call, client": "a call while connected, Ray Client",
    "closed port, ray://": "closed port, `ray://`, one look",
    "closed port, host:port": "closed port, `host:port`, one look",
    "wrong port, ray:// at the GCS": "`ray://` at the GCS's port",
    "bad token, client": "a bad token, `ray://`",
    "Ctrl-C between two looks at a closed port": "Ctrl-C in the wait, `host:port`",
    "call while the breaker is open": "a dead target again, breaker open",
    "head dies: noticed, native": "the head dies: noticed",
    "head is back: until a task has run, native": "it is back: until a task has run, native",
    "head is back: until a task has run, client": "it is back: until a task has run, Ray Client",
    "forked child of a connected process: exit, native": "exit of a forked child",
    "our call minus ray.init inside it, native": "added to `ray.init`, native",
    "import of seedcore.utils.ray_utils, logging not counted": "import, beside `import ray`",
}


def main() -> int:
    """Rewrite the table; ``--check`` only compares."""
    parser = argparse.ArgumentParser(description="the README's table, from the last benchmark")
    parser.add_argument("--check", action="store_true", help="exit 1 when it is another")
    options = parser.parse_args()
    results = json.loads((_ROOT / "benches" / "results.json").read_text())
    readme = _ROOT / "README.md"
    old = readme.read_text()
    before, rest = old.split(_BEGIN)
    _, after = rest.split(_END)
    new = before + _BEGIN + table(results) + _END + after
    if options.check:
        return int(new != old)
    readme.write_text(new)
    return 0


def table(results: dict[str, Any]) -> str:
    """The chosen rows as Markdown, with what they were measured on. A row that is gone raises."""
    rows = {row["what"]: row for group in results["groups"].values() for row in group}
    lines = ["| | ours | bare Ray | usual helper |", "|---|---|---|---|"]
    for name, shown in _ROWS.items():
        figures = [_show(rows[name][column]) for column in ("ours", "ray", "reference")]
        lines.append(f"| {shown} | {' | '.join(figures)} |")
    run = results["run"]
    circumstances = (
        f"Ray {run['ray']}, Python {run['python']}, {run['cores']} cores ({run['processor']}), "
        f"{run['date'][:10]}. Whatever took longer than {run['cap_s']:g} s was stopped."
    )
    return "\n".join([*lines, "", circumstances, "[All rows](docs/bench.svg)."]) + "\n"


def _show(figure: dict[str, Any] | None) -> str:
    return "" if figure is None else str(Figure(**figure))


if __name__ == "__main__":
    sys.exit(main())
