"""The code blocks of the documents, and what is said about how to run them.

A comment before a block that readers do not see says what is special about it::

    <!-- continued -->                  goes on where the block before it ended
    <!-- raises: RayConnectionError --> has to end with that exception
    <!-- not run: REASON -->            is only compiled, since running it is out of the question
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_MARK = re.compile(r"<!-- (continued|raises|not run)(?:: (.+))? -->")


@dataclass(frozen=True)
class Block:
    """One fenced block of a document."""

    document: Path
    line: int
    """Of its first line of code, from 1."""
    language: str
    source: str
    mark: str
    """``continued``, ``raises``, ``not run``, or nothing."""
    detail: str
    """The exception, or the reason."""

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """Every block of all documents in one of these languages; without any, all blocks."""
    found = [block for document in DOCUMENTS for block in _blocks_of(document)]
    return [block for block in found if not languages or block.language in languages]


def _blocks_of(document: Path) -> list[Block]:
    tokens = MarkdownIt().parse(document.read_text())
    found = []
    for before, token in pairwise([*tokens[:1], *tokens]):
        if token.type != "fence" or token.map is None:
            continue
        mark = _MARK.match(before.content) if before.type == "html_block" else None
        found.append(
            Block(
                document,
                token.map[0] + 2,
                token.info,
                token.content,
                mark[1] if mark else "",
                (mark[2] or "") if mark else "",
            )
        )
    return found
