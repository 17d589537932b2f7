"""A terminal's output as a picture: an SVG that reads in light and in dark, without a foreign font.

Each piece of text stands at its column and has its width written down, so that columns are aligned
in whatever monospaced font the reader has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape

_COLUMN, _LINE, _MARGIN, _SIZE = 8.0, 19, 18, 13.3
# Select Graphic Rendition, as far as our command line goes; 0 ends all.
_CLASSES = {"1": "strong", "2": "faint", "31": "red", "32": "green", "36": "cyan"}
_ESCAPE = re.compile(r"\x1b\[([\d;]*)m")
_STYLE = f"""
text {{ font: {_SIZE}px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono',
monospace; fill: #1f2328; white-space: pre }}
rect {{ fill: #ffffff; stroke: #d0d7de }}
.strong {{ font-weight: bold }} .faint {{ fill: #656d76 }}
.red {{ fill: #cf222e }} .green {{ fill: #1a7f37 }} .cyan {{ fill: #1b7c83 }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3 }} rect {{ fill: #0d1117; stroke: #30363d }} .faint {{ fill: #8b949e }}
.red {{ fill: #ff7b72 }} .green {{ fill: #3fb950 }} .cyan {{ fill: #39c5cf }}
}}
"""


def svg(title: str, told: str, columns: int) -> str:
    """What a terminal of that many columns shows after ``told`` was written to it.

    Raises:
        ValueError: a line is longer than the terminal, or has an escape code of another kind.
    """
    lines = shown(told)
    width = round(2 * _MARGIN + _COLUMN * columns)
    height = 2 * _MARGIN + _LINE * len(lines)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="6"/>',
    ]
    for number, line in enumerate(lines):
        y = _MARGIN + _LINE * number + 14
        pieces = [_piece(at, text, classes) for at, text, classes in _pieces(line, columns)]
        # Lines without text are lines of the picture's words, too.
        parts.append(f'<text y="{y}">{"".join(pieces)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def shown(told: str) -> list[str]:
    """The lines that are seen in the end, without those that were written over."""
    lines = told.replace("\r\n", "\n").rstrip("\n").split("\n")
    return [line.rpartition("\r\x1b[K")[2] for line in lines]


def words(picture: str) -> list[str]:
    """The lines of text in a picture of a terminal."""
    lines = re.findall(r"<text [^>]*>(.*?)</text>", picture)
    return [unescape(re.sub(r"<[^>]*>", " ", line)) for line in lines]


def plain(line: str) -> str:
    """A line without its styles."""
    return _ESCAPE.sub("", line)


def _pieces(line: str, columns: int) -> Iterator[tuple[int, str, str]]:
    """Where each run of text begins, the text, and the classes of its style."""
    at, style = 0, ""
    for index, part in enumerate(_ESCAPE.split(line)):
        if index % 2:
            codes = part.split(";")
            style = "" if codes == ["0"] else " ".join(_CLASSES[code] for code in codes)
            continue
        if "\x1b" in part or at + len(part) > columns:
            raise ValueError(f"not drawn: {part!r} at column {at} of {columns}")
        # Between two columns is nothing to draw.
        for run in re.finditer(r"\S+(?: \S+)*", part):
            yield at + run.start(), run[0], style
        at += len(part)


def _piece(at: int, text: str, classes: str) -> str:
    style = f' class="{classes}"' if classes else ""
    x, width = _MARGIN + _COLUMN * at, _COLUMN * len(text)
    return f'<tspan x="{x:g}" textLength="{width:g}"{style}>{escape(text, quote=False)}</tspan>'
