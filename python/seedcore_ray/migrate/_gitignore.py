"""``.gitignore`` without git: for trees that are copied without their ``.git``."""

from __future__ import annotations

import re
from typing import NamedTuple


class Rules(NamedTuple):
    """The patterns of one ``.gitignore``, the last match wins."""

    folder: str
    """Where it lies, with a slash at the end, or empty for the root."""
    patterns: tuple[tuple[re.Pattern[str], bool, bool], ...]
    """Each with whether it takes back an earlier one, and whether it is for folders alone."""


def read(folder: str, text: str) -> Rules:
    """Read a file; lines that git would not understand either match nothing."""
    patterns = []
    for line in text.splitlines():
        line = re.sub(r"(?<!\\)\s+$", "", line)
        if not line or line.startswith("#"):
            continue
        negated = line.startswith("!")
        line = line[1:] if negated else line
        folders_only = line.endswith("/")
        try:
            patterns.append((re.compile(_expression(line.rstrip("/"))), negated, folders_only))
        except re.error:
            continue
    return Rules(folder, tuple(patterns))


def is_ignored(path: str, is_folder: bool, rules: list[Rules]) -> bool:
    """Whether a path is ignored, by the files from the root down to its folder."""
    for one in reversed(rules):
        below = path[len(one.folder) :]
        for pattern, negated, folders_only in reversed(one.patterns):
            if (is_folder or not folders_only) and pattern.fullmatch(below):
                return not negated
    return False


def _expression(pattern: str) -> str:
    """A regular expression for a pattern without its slash at the end."""
    anchored = "/" in pattern
    parts = ["" if anchored else "(?:.*/)?"]
    for piece in re.findall(
        r"/\*\*$|\*\*/|/\*\*/|\*+|\?|\[[!^]?\]?[^\]]*\]|\\.|.", pattern.lstrip("/")
    ):
        if piece == "/**":
            parts.append("/.*")
        elif piece == "**/":
            parts.append("(?:.*/)?")
        elif piece == "/**/":
            parts.append("/(?:.*/)?")
        elif piece[0] == "*":
            parts.append("[^/]*")
        elif piece == "?":
            parts.append("[^/]")
        elif piece[0] == "[" and len(piece) > 2:
            inner = re.sub(r"([\\\[&~|])", r"\\\1", piece[1:-1])
            parts.append("(?!/)[" + re.sub(r"^[!^]", "^", inner) + "]")
        else:
            parts.append(re.escape(piece[-1]))
    return "".join(parts)
