"""Each form of the survey and each trap: what is found, and what the rewrites leave."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.migrate.cases import Case, cases, fixed, found

_CASES = cases()


def test_there_are_many() -> None:
    assert len(_CASES) > 150
    seen = {
        line.split()[line.startswith("cell") * 2 + 1] for one in _CASES for line in one.findings
    }
    assert len(seen) == 16, sorted(seen)


@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_what_is_found(case: Case) -> None:
    assert found(case.data("before"), case.path) == case.findings


@pytest.mark.parametrize("unsafe", [False, True], ids=["safe", "unsafe"])
@pytest.mark.parametrize("case", _CASES, ids=lambda case: case.name)
def test_what_is_left(case: Case, unsafe: bool) -> None:
    before, after = case.data("before"), case.data("unsafe" if unsafe else "safe")
    assert fixed(before, case.path, unsafe) == after
    assert fixed(after, case.path, unsafe) == after, "a second run changes something"
    codes = [Counter(_code(line) for line in found(data, case.path)) for data in (before, after)]
    assert codes[1] <= codes[0], "a second run finds something new"


def _code(line: str) -> str:
    return next(word for word in line.split() if word.startswith("RAY"))
