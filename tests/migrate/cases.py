"""The corpus: one small file for each form and trap, with what is found and what is left.

A file of ``corpus/`` begins with ``path:``, under which the source lies, and maybe ``bytes:``, how
its text becomes bytes. Then come ``=== before``, ``=== findings`` (``line:column CODE verdict``),
``=== safe`` after ``--fix`` and ``=== unsafe`` after ``--fix --unsafe-fixes``; where one of the two
is missing, that step changes nothing.

``python -m tests.migrate.cases NAME...`` writes what the command does now into these files: read
the difference.
"""

from __future__ import annotations

import codecs
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from seedcore_ray.migrate._check import examine, rewrite
from seedcore_ray.migrate._rules import RULES

CORPUS = Path(__file__).with_name("corpus")


def _notebook(text: str) -> bytes:
    cells = [{"cell_type": "code", "source": cell} for cell in text.split("====\n")]
    return json.dumps({"cells": [*cells, {"cell_type": "markdown", "source": "ray"}]}).encode()


_CODECS: dict[str, Callable[[str], bytes]] = {
    "utf-8": str.encode,
    "crlf": lambda text: text.replace("\n", "\r\n").encode(),
    "cr": lambda text: text.replace("\n", "\r").encode(),
    "bom": lambda text: codecs.BOM_UTF8 + text.encode(),
    "latin-1": lambda text: text.encode("latin-1"),
    "ff": lambda text: b"\x0c" + text.replace("\n\n", "\n\x0c\n").encode(),
    "strip": lambda text: text.rstrip("\n").encode(),
    "nul": lambda text: text.encode() + b"\0\n",
    "bad-utf-8": lambda text: text.encode() + b"# \xff\n",
    "notebook": _notebook,
}


@dataclass(frozen=True)
class Case:
    """One file of the corpus."""

    name: str
    path: str = "src/jobs.py"
    codec: str = "utf-8"
    sections: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path) -> Case:
        """Read it."""
        head, *rest = re.split(r"(?m)^=== (\w+)\n", file.read_text())
        fields = dict(line.split(": ", 1) for line in head.splitlines())
        sections = dict(zip(rest[::2], rest[1::2], strict=True))
        return cls(file.stem, fields["path"], fields.get("bytes", "utf-8"), sections)

    def __str__(self) -> str:
        codec = "" if self.codec == "utf-8" else f"bytes: {self.codec}\n"
        parts = [f"=== {name}\n{text}" for name, text in self.sections.items()]
        return f"path: {self.path}\n{codec}" + "".join(parts)

    def data(self, section: str) -> bytes:
        """The bytes of ``before``, ``safe`` or ``unsafe``."""
        earlier = {"unsafe": "safe", "safe": "before"}
        while section not in self.sections:
            section = earlier[section]
        return _CODECS[self.codec](self.sections[section])

    @property
    def findings(self) -> list[str]:
        """The lines of the findings."""
        return self.sections["findings"].splitlines()


def cases() -> list[Case]:
    """All of them."""
    return [Case.load(file) for file in sorted(CORPUS.glob("*.txt"))]


def found(data: bytes, path: str) -> list[str]:
    """What is found, as the corpus writes it."""
    lines = []
    for one in examine(data, path).findings:
        verdict = "report" if one.fix is None else "safe" if one.fix.is_safe else "unsafe"
        cell = "" if one.cell is None else f"cell {one.cell} "
        words = f" ({one.message})" if one.message else ""
        hint = f" [{one.hint}]" if one.hint else ""
        lines.append(f"{cell}{one.span.line}:{one.span.column} {one.code} {verdict}{words}{hint}")
    return lines


def fixed(data: bytes, path: str, unsafe: bool) -> bytes:
    """The file after its rewrites."""
    done = rewrite(data, path, set(RULES), unsafe)
    assert not done.failure, done.failure
    return done.data


def _text(case: Case, data: bytes) -> str:
    for line_end in ("\r\n", "\r"):
        data = data.replace(line_end.encode(), b"\n") if case.codec in ("crlf", "cr") else data
    text = data.decode("latin-1" if case.codec == "latin-1" else "utf-8-sig")
    text = text.removeprefix("\f").replace("\f", "")
    return text if text.endswith("\n") else text + "\n"


def as_it_is(case: Case) -> Case:
    """The case with what the command does now."""
    before = case.data("before")
    sections = {"before": case.sections["before"]}
    sections["findings"] = "".join(line + "\n" for line in found(before, case.path))
    safe = fixed(before, case.path, unsafe=False)
    unsafe = fixed(before, case.path, unsafe=True)
    if safe != before:
        sections["safe"] = _text(case, safe)
    if unsafe != safe:
        sections["unsafe"] = _text(case, unsafe)
    return Case(case.name, case.path, case.codec, sections)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        file = CORPUS / f"{name}.txt"
        file.write_text(str(as_it_is(Case.load(file))))
