"""The findings for people: text, differences, statistics, and the explanation of a rule."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

from seedcore_ray.migrate._model import Finding, Report
from seedcore_ray.migrate._rules import RULES, Rule


class Console(Protocol):
    """What is printed on: the command line's own."""

    is_terminal: bool

    def style(self, text: str, style: str) -> str:
        """The text in a style, where there are any."""

    def wrapped(self, text: str, indent: int) -> str:
        """The text for a column, wrapped to the terminal."""


def place(report: Report, finding: Finding) -> str:
    """``path:line:column``; with the cell in between for a notebook."""
    cell = "" if finding.cell is None else f":cell {finding.cell}"
    return f"{report.path}{cell}:{finding.span.line}:{finding.span.column}"


def message(finding: Finding) -> str:
    """What is found, on one line."""
    summary = RULES[finding.code].summary
    return f"{summary.rstrip('.')}: {finding.message}" if finding.message else summary


def text(console: Console, report: Report) -> Iterable[str]:
    """The findings of a file."""
    for finding in report.findings:
        rule, fix = RULES[finding.code], finding.fix
        mark = "" if fix is None else ("[*] " if fix.is_safe else "[unsafe] ")
        code = console.style(finding.code, "failed" if fix else "strong")
        yield f"{place(report, finding)}: {code} {mark}{message(finding)}"
        if finding.cell is None and finding.span.line <= len(report.lines):
            yield f"    | {report.lines[finding.span.line - 1].strip()}"
        rows = [("why", rule.why)]
        if fix is not None:
            rows.append(("now", fix.now.replace("\n", "\n" + " " * 12)))
            rows += [("if", one) for one in fix.assumptions]
        else:
            rows.append(("instead", f"{rule.instead} {finding.hint}".strip()))
        rows.append(("see", rule.url))
        for name, words in rows:
            shown = words if name == "now" else console.wrapped(words, 12)
            yield f"    {console.style(f'{name:7}', 'faint')} {shown}"


_DIFF_STYLES = {"@": "hunk", "-": "removed", "+": "added"}


def difference(console: Console, report: Report) -> Iterable[str]:
    """The rewrite of a file as a unified diff.

    A patch is for programs: in a pipe or a file it is plain even where colour is forced.
    """
    for number, line in enumerate(_unified(report)):
        # The first two lines name the file.
        style = "strong" if number < 2 else _DIFF_STYLES.get(line[0])
        if console.is_terminal and style:
            yield console.style(line.removesuffix("\n"), style) + "\n"
        else:
            yield line


def _unified(report: Report) -> Iterable[str]:
    path = report.path.lstrip("/")
    before, after = (_lines(data) for data in (report.before, report.after or b""))
    pieces = difflib.unified_diff(before, after, f"a/{path}", f"b/{path}")
    for line in pieces:
        yield line if line.endswith("\n") else line + "\n"
        if not line.endswith("\n"):
            yield "\\ No newline at end of file\n"


def _lines(data: bytes) -> list[str]:
    decoded = data.decode("utf-8", "surrogateescape")
    return [line + "\n" for line in decoded.split("\n")[:-1]] + (
        [decoded.rpartition("\n")[2]] if not decoded.endswith("\n") else []
    )


def statistics(reports: Sequence[Report]) -> list[str]:
    """How many findings each rule has."""
    counts = Counter(finding.code for report in reports for finding in report.findings)
    rows = [(str(count), code, RULES[code].summary) for code, count in sorted(counts.items())]
    width = max((len(count) for count, *_ in rows), default=0)
    return [f"{count:>{width}}  {code}  {summary}" for count, code, summary in rows]


def closing(reports: Sequence[Report], read: int) -> str:
    """The last line: what was found, and which switch does what."""
    findings = [finding for report in reports for finding in report.findings]
    fixed = sum(len(report.fixed) for report in reports)
    done = f"Fixed {_many(fixed, 'finding')}. " if fixed else ""
    if not findings:
        return f"{done}Nothing {'left' if fixed else 'found'} in {_many(read, 'file')}."
    safe = sum(1 for one in findings if one.fix is not None and one.fix.is_safe)
    unsafe = sum(1 for one in findings if one.fix is not None and not one.fix.is_safe)
    parts = [
        f"{safe} [*] for --fix" if safe else "",
        f"{unsafe} [unsafe] for --fix --unsafe-fixes" if unsafe else "",
        f"{len(findings) - safe - unsafe} to do by hand" if len(findings) > safe + unsafe else "",
    ]
    files = sum(1 for report in reports if report.findings)
    found = f"{_many(len(findings), 'finding')} in {files} of {_many(read, 'file')}"
    return f"{done}{found}: {', '.join(part for part in parts if part)}."


def patches(reports: Sequence[Report]) -> str:
    """A warning for whoever rewrites calls that tests patch; empty where none does."""
    findings = (finding for report in reports for finding in report.findings)
    count = sum(1 for finding in findings if finding.code == "RAY502")
    if not count:
        return ""
    where = _many(count, "place")
    return f"{where} in tests patch Ray's functions (RAY502), which rewritten calls no longer use."


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def explanation(console: Console, rule: Rule) -> Iterable[str]:
    """All about a rule."""
    yield f"{console.style(rule.code, 'strong')} {rule.name}: {rule.summary}"
    rows = (("why", rule.why), ("instead", rule.instead), ("fix", rule.fix), ("see", rule.url))
    for name, words in rows:
        yield f"    {name:7} {console.wrapped(words, 12)}"
