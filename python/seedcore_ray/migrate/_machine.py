"""The findings for programs: ruff's JSON, SARIF 2.1.0, GitHub's annotations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from seedcore_ray.migrate._model import Edit, Finding, Report
from seedcore_ray.migrate._rules import RULES
from seedcore_ray.migrate._show import message, place
from seedcore_ray.migrate._source import Source

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def as_json(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """One object for each finding, with ruff's names."""
    return [_object(report, finding) for report in reports for finding in report.findings]


def _object(report: Report, finding: Finding) -> dict[str, Any]:
    rule, span = RULES[finding.code], finding.span
    return {
        "cell": finding.cell,
        "code": finding.code,
        "end_location": {"row": span.end_line, "column": span.end_column},
        "filename": report.path,
        "fix": _fix(report, finding),
        "hint": finding.hint or None,
        "instead": rule.instead,
        "location": {"row": span.line, "column": span.column},
        "message": message(finding),
        "url": rule.url,
        "why": rule.why,
    }


def _fix(report: Report, finding: Finding) -> dict[str, Any] | None:
    fix = finding.fix
    if fix is None:
        return None
    source = Source(report.before)
    return {
        "applicability": "safe" if fix.is_safe else "unsafe",
        "assumptions": list(fix.assumptions),
        "edits": [_edit(source, edit) for edit in sorted(fix.edits)],
        "message": f"Replace with `{fix.now}`",
        "needs_import": fix.needs_import,
    }


def _edit(source: Source, edit: Edit) -> dict[str, Any]:
    span = source.span_of(edit.start, edit.end)
    return {
        "content": edit.new.decode(),
        "location": {"row": span.line, "column": span.column},
        "end_location": {"row": span.end_line, "column": span.end_column},
    }


def sarif(reports: Sequence[Report], version: str) -> str:
    """A SARIF log. All rules are declared, so that a finding that is gone is closed."""
    order = {code: index for index, code in enumerate(RULES)}
    driver = {
        "name": "seedcore-ray migrate",
        "version": version,
        "rules": [
            {
                "id": rule.code,
                "name": rule.name,
                "shortDescription": {"text": rule.summary},
                "fullDescription": {"text": rule.why},
                "help": {"text": f"{rule.instead} See {rule.url}."},
            }
            for rule in RULES.values()
        ],
    }
    results = [
        {
            "ruleId": finding.code,
            "ruleIndex": order[finding.code],
            "level": finding.level,
            "message": {"text": _words(finding)},
            "locations": [_location(report, finding)],
        }
        for report in reports
        for finding in report.findings
    ]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _location(report: Report, finding: Finding) -> dict[str, Any]:
    # Lines of a cell are no lines of the notebook's file.
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(report.path)}}
    if finding.cell is None:
        span = finding.span
        place["region"] = {
            "startLine": span.line,
            "startColumn": span.column,
            "endLine": span.end_line,
            "endColumn": span.end_column,
        }
    return {"physicalLocation": place}


def _uri(path: str) -> str:
    from urllib.parse import quote

    return quote(path.replace("\\", "/"), errors="surrogateescape")


def _words(finding: Finding) -> str:
    rule, fix = RULES[finding.code], finding.fix
    told = message(finding)
    told += "" if told.endswith(".") else "."
    if fix is None:
        return f"{told} Instead: {rule.instead} {finding.hint}".strip()
    needed = "".join(f" Only if {one}." for one in fix.assumptions)
    first, *more = fix.now.split("\n")
    return f"{told} Now: {first}{' ...' if more else ''}.{needed}"


def github(reports: Sequence[Report]) -> Iterable[str]:
    """Annotations. GitHub shows ten of a kind for a step, so that the text has to stand beside."""
    for report in reports:
        for finding in report.findings:
            span = finding.span
            kind = "warning" if finding.level == "warning" else "notice"
            lines = f",line={span.line},endLine={span.end_line},col={span.column}"
            where = f"file={_property(report.path)}{lines if finding.cell is None else ''}"
            title = _property(f"seedcore-ray ({finding.code})")
            words = f"{place(report, finding)}: {finding.code} {_words(finding)}"
            yield f"::{kind} title={title},{where}::{_data(words)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
