"""``seedcore-ray migrate``: its arguments, and one run of ``seedcore_ray.migrate``."""

from __future__ import annotations

import gc
import io
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from seedcore_ray.cli._output import Console, document
from seedcore_ray.migrate import _check, _machine, _show
from seedcore_ray.migrate._callers import name_callers
from seedcore_ray.migrate._files import files, write
from seedcore_ray.migrate._model import Report
from seedcore_ray.migrate._rules import RULES, matching

_ABOUT = "Find the ray.init calls of a code base, explain each, and rewrite the safe ones."
_MORE = """\
Without --fix nothing is written. An unsafe fix changes what the program does unless what its
"if" lines say holds. A comment `# seedcore-ray: ignore[RAY101] reason` suppresses a finding.

Exit codes: 0 nothing left, 1 findings left (with --diff: files would change), 2 wrong arguments,
or a file that cannot be read, rewritten or written."""
_FORMATS = ("text", "json", "sarif", "github")


def migrate(words: Sequence[str]) -> int:
    """Run the command with these arguments; returns its exit code."""
    options = _parser().parse_args(words)
    if options.explain:
        for line in _show.explanation(Console(), RULES[options.explain]):
            Console().write(line)
        return 0
    try:
        paths = list(files(options.paths))
        with _without_collector():
            reports = _reports(paths, options)
    except OSError as error:
        print(f"seedcore-ray migrate: {error}", file=sys.stderr)
        return 2
    code = _printed(reports, len(paths), options)
    return 0 if options.exit_zero and code == 1 else code


@contextmanager
def _without_collector() -> Iterator[None]:
    """Without garbage collection: trees are large, have no circles, and are gone file by file."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="seedcore-ray migrate",
        description=_ABOUT,
        epilog=_MORE,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("paths", metavar="PATH", nargs="*", default=["."], help="Files and folders. Default: .")
    writes = parser.add_mutually_exclusive_group()
    writes.add_argument("--diff", action="store_true", help="Print what --fix would change.")
    writes.add_argument("--fix", action="store_true", help="Rewrite the safe ones.")
    add("--unsafe-fixes", action="store_true", help="With --fix or --diff: the unsafe ones too.")
    add("--select", type=_codes, default=set(RULES), metavar="CODES", help=_prefixes("Only"))
    add("--ignore", type=_codes, default=set(), metavar="CODES", help=_prefixes("Without"))
    add("--format", choices=_FORMATS, default="text", help="Default: text.")
    add("--json", dest="as_json", action="store_true", help="Print one JSON document.")
    add("--statistics", action="store_true", help="Only count the findings of each rule.")
    add("--explain", metavar="CODE", type=_code, help="Say all about one rule.")
    add("--exit-zero", action="store_true", help="Exit with 0 when findings are left, too.")
    return parser


def _prefixes(word: str) -> str:
    return f"{word} these rules: codes or their beginnings, with commas between, as RAY1,RAY201."


def _codes(text: str) -> set[str]:
    found: set[str] = set()
    for prefix in filter(None, map(str.strip, text.split(","))):
        if not (codes := matching(prefix)):
            raise ArgumentTypeError(f"no rule begins with {prefix!r}")
        found |= codes
    return found


def _code(text: str) -> str:
    if text.upper() not in RULES:
        raise ArgumentTypeError(f"no rule {text!r}; there are {', '.join(RULES)}")
    return text.upper()


def _reports(paths: Sequence[Path], options: Namespace) -> list[Report]:
    codes = options.select - options.ignore
    helpers: dict[str, str] = {}
    reports = []
    for path in paths:
        data = path.read_bytes()
        if not _check.is_worth_parsing(data):
            continue
        shown = _shown(path)
        if options.fix or options.diff:
            report = _rewritten(path, shown, data, codes, options)
        else:
            report = _examined(shown, data, codes, helpers)
        if report.findings or report.fixed or report.failure:
            reports.append(report)
    return name_callers(reports, paths, helpers)


def _shown(path: Path) -> str:
    """The path as the rules and the report have it, with forward slashes."""
    here = os.path.relpath(path)
    shown = (path if here.startswith("..") else Path(here)).as_posix()
    return os.fsencode(shown).decode("utf-8", "backslashreplace")


def _examined(shown: str, data: bytes, codes: set[str], helpers: dict[str, str]) -> Report:
    found = _check.examine(data, shown)
    findings = [finding for finding in found.findings if finding.code in codes]
    if any(finding.code == "RAY401" for finding in findings):
        helpers.update(dict.fromkeys(found.helpers, shown))
    return Report(shown, findings, found.lines, [], data)


def _rewritten(path: Path, shown: str, data: bytes, codes: set[str], options: Namespace) -> Report:
    """One file after ``--fix``, or as it would be for ``--diff``."""
    done = _check.rewrite(data, shown, codes, options.unsafe_fixes)
    failure, changed = done.failure, done.data != data
    if changed and options.fix:
        try:
            write(path, done.data)
        except OSError as error:
            return Report(shown, [], [], [], data, failure=str(error))
    now = done.data if options.fix else data
    report = _examined(shown, now, codes, {})
    return report._replace(
        fixed=done.fixed,
        before=data if options.diff else now,
        after=done.data if changed else None,
        failure=failure,
    )


def _printed(reports: Sequence[Report], read: int, options: Namespace) -> int:
    """Print what was asked for; returns the exit code."""
    _encode_anything("backslashreplace")
    console, notes = Console(), Console(sys.stderr)
    for report in reports:
        if report.failure:
            notes.write(f"{report.path}: not rewritten: {report.failure}")
    changed = [report for report in reports if report.after is not None]
    left = changed if options.diff else [report for report in reports if report.findings]
    code = 2 if any(report.failure for report in reports) else int(bool(left))
    if options.diff:
        _encode_anything("surrogateescape")  # the bytes of the files, whatever they are
        for report in changed:
            sys.stdout.writelines(_show.difference(console, report))
        sys.stdout.flush()
        notes.write(f"{len(changed)} of {read} files would change.")
    else:
        for text in _output(console, reports, code, read, options):
            console.write(text)
    if changed and (note := _show.patches(reports)):
        notes.write(note)
    return code


def _encode_anything(errors: str) -> None:
    """Have no character of a source end the run on a terminal that lacks it."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=errors)


def _output(
    console: Console, reports: Sequence[Report], code: int, read: int, options: Namespace
) -> Iterable[str]:
    if options.as_json:
        fixed = sum(len(report.fixed) for report in reports)
        fields = {"findings": _machine.as_json(reports), "files": read, "fixed": fixed}
        yield document("migrate", code, fields)
    elif options.statistics:
        yield from _show.statistics(reports)
    elif options.format == "json":
        import json

        yield json.dumps(_machine.as_json(reports), indent=2)
    elif options.format == "sarif":
        yield _machine.sarif(reports, _version())
    elif options.format == "github":
        yield from _machine.github(reports)
        yield _show.closing(reports, read)
    else:
        for report in reports:
            yield from _show.text(console, report)
        yield _show.closing(reports, read)


def _version() -> str:
    """The installed version; the extension, which knows it too, is not loaded for it."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("seedcore-ray")
    except PackageNotFoundError:
        return "0"
