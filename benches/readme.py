"""Writes the README's table, between its two markers, and ``docs/bench.svg`` from the results."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benches.chart import caption, svg
from benches.figures import Figure, Row

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
    """Rewrite both; ``--check`` only compares."""
    parser = argparse.ArgumentParser(description="table and chart, from the last benchmark")
    parser.add_argument("--check", action="store_true", help="exit 1 when they are others")
    options = parser.parse_args()
    written = documents()
    if options.check:
        return int(any(path.read_text() != text for path, text in written.items()))
    for path, text in written.items():
        path.write_text(text)
    return 0


def documents() -> dict[Path, str]:
    """What is written into which file."""
    results = json.loads((_ROOT / "benches" / "results.json").read_text())
    run, rows = results["run"], [Row.from_json(row) for row in results["rows"]]
    readme = _ROOT / "README.md"
    before, rest = readme.read_text().split(_BEGIN)
    _, after = rest.split(_END)
    return {
        readme: before + _BEGIN + _table(run, rows) + _END + after,
        _ROOT / "docs" / "bench.svg": svg(rows, caption(run)),
    }


def _table(run: dict[str, Any], rows: list[Row]) -> str:
    """The chosen rows as Markdown, with what they were measured on. A row that is gone raises."""
    by_name = {row.what: row for row in rows}
    lines = ["| | ours | bare Ray | usual helper |", "|---|---|---|---|"]
    for name, shown in _ROWS.items():
        row = by_name[name]
        figures = [_show(figure) for figure in (row.ours, row.ray, row.reference)]
        lines.append(f"| {shown} | {' | '.join(figures)} |")
    circumstances = (
        f"Ray {run['ray']}, Python {run['python']}, {run['cores']} cores ({run['processor']}), "
        f"{run['date'][:10]}."
    )
    stopped = f"Calls longer than {run['cap_s']:g} s were stopped. [All rows](docs/bench.svg)."
    return "\n".join([*lines, "", circumstances, stopped]) + "\n"


def _show(figure: Figure | None) -> str:
    return "" if figure is None else str(figure)


if __name__ == "__main__":
    sys.exit(main())
