"""``seedcore-ray config``: the settings in force, and where each came from."""

from __future__ import annotations

from seedcore_ray import _core
from seedcore_ray.cli._output import Paper, columns, document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def config(as_json: bool) -> int:
    """Print them.

    Returns:
        0, or 1 when one of them cannot be used as it is given.
    """
    paper = Paper()
    settings = _core.effective_settings()
    code = 0 if all(setting["ok"] for setting in settings) else 1
    if as_json:
        paper.write(document("config", code, {"settings": settings}))
        return code
    for line in lines(paper, settings):
        paper.write(line)
    return code


def lines(paper: Paper, settings: list[dict[str, Any]], indent: str = "") -> list[str]:
    """The settings as a table; what is worth knowing about one stands below it."""
    rows = [(one["name"], one["value"], one["source"]) for one in settings]
    name_width, value_width, _ = columns(rows)
    told = []
    for one, (name, value, source) in zip(settings, rows, strict=True):
        origin = source
        if source in ("default", "derived"):
            origin = paper.style(f"{source}  ({', '.join(one['variables'])})", "faint")
        told.append(f"{indent}{name:{name_width}}  {value:{value_width}}  {origin}")
        if one["note"] is not None:
            margin = len(indent) + name_width + 2
            mark = paper.style("note", "strong" if one["ok"] else "failed")
            told.append(f"{' ' * margin}{mark}: {paper.folded(one['note'], margin + 6)}")
    return told
