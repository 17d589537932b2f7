"""``seedcore-ray config``: the settings in force, and where each came from."""

from __future__ import annotations

from seedcore_ray import _core
from seedcore_ray.cli._output import Console, columns, document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def config(as_json: bool) -> int:
    """Print the settings.

    Returns:
        0, or 1 when one of them cannot be used as it is given.
    """
    console = Console()
    settings = _core.effective_settings()
    code = 0 if all(setting["ok"] for setting in settings) else 1
    if as_json:
        console.write(document("config", code, {"settings": settings}))
        return code
    for line in table(console, settings):
        console.write(line)
    return code


def at_default(setting: dict[str, Any]) -> bool:
    """Whether nobody has set it."""
    return setting["source"] in ("default", "derived")


def table(console: Console, settings: list[dict[str, Any]], indent: str = "") -> list[str]:
    """The settings as lines of a table, each note below its setting."""
    rows = [(one["name"], one["value"], one["source"]) for one in settings]
    name_width, value_width, _ = columns(rows) or (0, 0, 0)
    margin = len(indent) + name_width + 2
    lines = []
    for one, (name, value, source) in zip(settings, rows, strict=True):
        if at_default(one):
            source = f"{source}  ({', '.join(one['variables'])})"
            source = console.style(console.wrapped(source, margin + value_width + 2), "faint")
        lines.append(f"{indent}{name:{name_width}}  {value:{value_width}}  {source}")
        if one["note"] is not None:
            mark = console.style("note", "strong" if one["ok"] else "failed")
            lines.append(f"{' ' * margin}{mark}: {console.wrapped(one['note'], margin + 6)}")
    return lines
