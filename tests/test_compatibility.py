"""What a release has promised does not vanish unnoticed."""

from __future__ import annotations

from tests.surface import RECORD, surface


def test_what_callers_hold_on_to_is_what_was_recorded() -> None:
    """A line that is gone or changed breaks somebody: see docs/compatibility.md. A new one is a
    promise. Both are recorded by ``make surface``, in the commit that means them.
    """
    assert surface().splitlines() == RECORD.read_text().splitlines()
