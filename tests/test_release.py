"""A tag, the version and the changelog agree, or there is no release."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.release_notes import NotReady, notes

ROOT = Path(__file__).parents[1]
CARGO = '[package]\nversion = "1.2.3"\n'
CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.3] - 2026-11-28

### Added

- One thing.

## [1.2.2] - 2026-10-01

- Another.
"""


def test_a_release_says_what_its_section_says() -> None:
    assert notes("v1.2.3", CARGO, CHANGELOG) == "### Added\n\n- One thing.\n"


@pytest.mark.parametrize(
    ("tag", "changelog", "reason"),
    [
        ("v1.2.4", CHANGELOG, "v1.2.3, the version in Cargo.toml"),
        ("1.2.3", CHANGELOG, "v1.2.3, the version in Cargo.toml"),
        ("v1.2.3", CHANGELOG.replace("## [1.2.3] - 2026-11-28", "## [1.2.3]"), "YYYY-MM-DD"),
        ("v1.2.3", CHANGELOG.replace("d]\n", "d]\n\n- Left over.\n"), "Unreleased"),
    ],
)
def test_what_does_not_agree_is_not_released(tag: str, changelog: str, reason: str) -> None:
    with pytest.raises(NotReady, match=re.escape(reason)):
        notes(tag, CARGO, changelog)


def test_this_tree_can_be_released_once_unreleased_is_empty() -> None:
    cargo = (ROOT / "Cargo.toml").read_text()
    version = re.search(r'(?m)^version = "(.+)"$', cargo)
    assert version
    changelog = re.sub(
        r"(?ms)^## \[Unreleased\]\n.*?(?=^## )", "", (ROOT / "CHANGELOG.md").read_text()
    )
    assert notes(f"v{version[1]}", cargo, changelog)
