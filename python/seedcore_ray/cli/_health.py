"""``seedcore-ray health``: one bounded look, for exec probes."""

import sys

from seedcore_ray import _core
from seedcore_ray.cli._output import Paper, document, shown_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def health(address: str | None, timeout_s: float | None, as_json: bool) -> int:
    """Look once, and print what was seen.

    Args:
        address: what a connect would be given.
        timeout_s: bound of the whole look; None is the probe timeout.
        as_json: print a document.

    Returns:
        0 when Ray answers, else the number of the cause.
    """
    seen = _core.look(address, timeout_s)
    report(Paper(), "health", seen, as_json)
    return int(seen["exit_code"])


def report(paper: Paper, command: str, seen: "dict[str, Any]", as_json: bool) -> None:
    """Print what ``look`` saw: a document, or a line with what to do about it."""
    if as_json:
        names = ("address", "took_s", "error", "instead_of", "warnings")
        fields = {name: seen[name] for name in names}
        paper.write(document(command, seen["exit_code"], fields))
        return
    for warning in seen["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    if seen["ok"]:
        paper.write(f"{paper.style('ok', 'ok')}  {answer(seen)} in {shown_time(seen['took_s'])}")
        return
    error = seen["error"]
    paper.write(f"{paper.style(error['kind'], 'failed')}  {sentence(error['message'])}")
    paper.write(error["hint"])


def answer(seen: "dict[str, Any]") -> str:
    """Who answered, and for whom."""
    if seen["instead_of"] is None:
        return f"{seen['address']} answers"
    return f"{seen['address']} answers in place of {seen['instead_of']['address']}"


def sentence(text: str) -> str:
    """The text with a full stop."""
    return text if text.endswith((".", "?", "!")) else f"{text}."
