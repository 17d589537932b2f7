"""What mkdocs needs to know of this repository: documents and files that lie outside ``docs/``."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # mkdocs loads this file by its path
from website import states  # noqa: E402

# Documents of the repository's root that are pages of the site, too.
PAGES = ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
# Where files are that are no pages. A workflow of GitHub's knows; elsewhere they are not linked.
SOURCE = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/blob/{GITHUB_SHA}/"

_OUTSIDE = re.compile(r"\[(?P<text>[^\]]*)\]\(\.\./(?P<path>[^)#]+)(?P<anchor>#[^)]*)?\)")
_INSIDE = re.compile(r"\]\(docs/")
_STATES = re.compile(r"```mermaid\n(stateDiagram-v2\n.*?)```", re.S)


def on_files(files: Files, config: Any) -> Files:
    """Add the root's documents, and how the site looks."""
    style = str(Path(__file__).with_name("site.css"))
    files.append(File.generated(config, "site.css", abs_src_path=style))
    for name in PAGES:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links out of ``docs/`` to where the site has them."""
    if page.file.src_path in PAGES:
        # They are one folder further up than the site has them.
        markdown = re.sub(r"\]\((?!\w+:|#|docs/|[\w-]+\.md)", "](../", markdown)
        markdown = _INSIDE.sub("](", markdown)
    markdown = _STATES.sub(lambda found: states.drawing(found[1]), markdown)
    return _OUTSIDE.sub(_link, markdown)


def _link(found: re.Match[str]) -> str:
    text, path, anchor = found["text"], found["path"], found["anchor"] or ""
    if path == "README.md":  # of the root: the site's first page is the one of docs/
        return f"[{text}](README.md)"
    if path in PAGES:
        return f"[{text}]({path}{anchor})"
    if not (ROOT / path).exists():
        raise FileNotFoundError(f"{path}, which {text!r} links to")
    try:
        return f"[{text}]({SOURCE.format(**os.environ)}{path}{anchor})"
    except KeyError:
        return text
