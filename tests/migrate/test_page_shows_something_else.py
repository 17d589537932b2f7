"""``docs/migrate.md``: each rule has its section, and what it shows before and after is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from seedcore_ray.migrate._check import examine, rewrite
from seedcore_ray.migrate._rules import PAGE, RULES

_TEXT = (Path(__file__).parents[2] / PAGE).read_text()
_SECTIONS = dict(re.findall(r"(?ms)^### (RAY\d+)\n(.*?)(?=^### |\Z)", _TEXT))
_REWRITTEN = {"RAY101": "safe", "RAY102": "unsafe", "RAY103": "safe", "RAY202": "unsafe"}


def test_every_rule_has_a_section() -> None:
    assert list(_SECTIONS) == list(RULES)
    guide = (Path(__file__).parents[2] / "docs/migration.md").read_text()
    named = set(re.findall(r"RAY\d\d\d\b", guide))
    assert named <= set(RULES) and len(named) > 8, "the guide follows the codes"


@pytest.mark.parametrize("code", RULES)
def test_before_and_after(code: str) -> None:
    (shown,) = re.findall(r"(?ms)^```diff\n(.*?)^```", _SECTIONS[code])
    path, before, after = _versions(shown)
    assert code in {finding.code for finding in examine(before.encode(), path).findings}
    if code in _REWRITTEN:
        done = rewrite(before.encode(), path, set(RULES), unsafe=_REWRITTEN[code] == "unsafe")
        assert done.data.decode() == after
    elif after:  # the other ones are for a person to do; one is to remove the file
        assert code not in {finding.code for finding in examine(after.encode(), path).findings}


def _versions(diff: str) -> tuple[str, str, str]:
    """The path, and the text without the lines that come and without those that go."""
    lines = diff.splitlines()
    path = "src/jobs.py"
    if lines[0].startswith("--- "):
        path = lines[0].removeprefix("--- ")
        lines = lines[2:]
    before, after = (
        "".join(f"{line[1:]}\n" for line in lines if not line.startswith(sign)) for sign in "+-"
    )
    return path, before, after
