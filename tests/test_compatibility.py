"""What a release has promised does not vanish unnoticed."""

from __future__ import annotations

import re
from pathlib import Path

from tests import matrix
from tests.surface import RECORD, surface


def test_what_callers_hold_on_to_is_what_was_recorded() -> None:
    """A line that is gone or changed breaks somebody: see docs/compatibility.md. A new one is a
    promise. Both are recorded by ``make surface``, in the commit that means them.
    """
    assert surface().splitlines() == RECORD.read_text().splitlines()


def test_a_part_of_the_matrix_replaces_only_its_own_rows(tmp_path: Path) -> None:
    first, second = matrix.PAIRS[0], matrix.PAIRS[1]
    before = tmp_path / "matrix.md"
    before.write_text(
        matrix.document(["tests/a"], {first: _row(first, 1), second: _row(second, 1)})
    )
    after = matrix.document(["tests/a"], {second: _row(second, 2)}, before)
    assert after.splitlines()[-2:] == [_row(first, 1), _row(second, 2)]
    # Over other tests, what was before says nothing.
    other = matrix.document(["tests/b"], {second: _row(second, 2)}, before)
    assert _row(second, 2) in other and _row(first, 1) not in other


def test_every_pair_of_the_matrix_has_passed() -> None:
    rows = matrix.DOCUMENT.read_text().splitlines()
    for pair in matrix.PAIRS:
        (row,) = [row for row in rows if row.startswith(f"| {pair.ray} | {pair.python} | ")]
        assert re.search(r"\| \d+ passed[^|]*\| \d+ \| \d{4}-\d\d-\d\d \|$", row), row


def _row(pair: matrix.Pair, seconds: int) -> str:
    return f"| {pair.ray} | {pair.python} | 3 passed | {seconds} | 2026-11-28 |"
