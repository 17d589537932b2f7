"""``make release-notes``: what a release says of itself, from the changelog.

``python tests/release_notes.py TAG FILE`` writes the section of that version to FILE. Exits 1 when
the tag is not the version of ``Cargo.toml``, or when the changelog has no dated section of it, or
when its "Unreleased" still holds something.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
_SECTION = re.compile(
    r"(?ms)^## \[(?P<name>[^\]]+)\](?: - (?P<date>\d{4}-\d\d-\d\d))?\n(?P<text>.*?)(?=^## |\Z)"
)


class NotReady(Exception):
    """The tree is not that release."""


def notes(tag: str, cargo: str, changelog: str) -> str:
    """The changelog's section of the release ``tag``.

    Raises:
        NotReady: Tag, version and changelog do not agree.
    """
    found = re.search(r'(?m)^version = "(.+)"$', cargo)
    version = found[1] if found else None
    if tag != f"v{version}":
        raise NotReady(f"the tag {tag!r} is not v{version}, the version in Cargo.toml")
    sections = {match["name"]: match for match in _SECTION.finditer(changelog)}
    if (unreleased := sections.get("Unreleased")) and unreleased["text"].strip():
        raise NotReady("CHANGELOG.md still has something under Unreleased")
    section = sections.get(tag.removeprefix("v"))
    if section is None or section["date"] is None:
        raise NotReady(f"CHANGELOG.md has no section '## [{version}] - YYYY-MM-DD'")
    return section["text"].strip() + "\n"


def main(tag: str, file: str) -> int:
    """Write the notes."""
    try:
        text = notes(tag, (ROOT / "Cargo.toml").read_text(), (ROOT / "CHANGELOG.md").read_text())
    except NotReady as error:
        print(f"release notes: {error}", file=sys.stderr)
        return 1
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
