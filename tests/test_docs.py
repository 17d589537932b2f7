"""The documents against the code they speak of."""

from __future__ import annotations

import json
import re
from pathlib import Path

from benches import readme
from benches.figures import Row
from chaos import store, timeline
from chaos.document import document
from seedcore_ray.cli._arguments import COMMANDS
from tests.support.rows import dumps

ROOT = Path(__file__).parents[1]
_TOP = tuple(sorted(page.name for page in ROOT.glob("*.md")))
_PAGES = tuple(str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").glob("*.md")))


def _names(pattern: str, *files: str) -> set[str]:
    return {name for file in files for name in re.findall(pattern, (ROOT / file).read_text())}


def test_every_kind_is_explained() -> None:
    kinds = _kinds()
    assert len(kinds) > 15
    assert _names(r"(?m)^\| `(\w+)` \|", "docs/errors.md") == set(kinds)
    assert f"one of {len(kinds)} causes" in (ROOT / "README.md").read_text()


def _kinds() -> list[str]:
    """The public names of `Kind`: its variants in snake case, in order."""
    variants = (ROOT / "src/error.rs").read_text().partition("pub enum Kind {")[2].partition("}")[0]
    return [
        re.sub(r"\B([A-Z])", r"_\1", name).lower() for name in re.findall(r"(\w+),\n", variants)
    ]


def test_every_kind_has_an_exit_code_of_its_own() -> None:
    table = re.findall(r"(?m)^\| (\d+) \| `(\w+)` \|", (ROOT / "docs/cli.md").read_text())
    assert table == [(str(code), kind) for code, kind in enumerate(_kinds(), start=10)]


def test_every_command_is_explained() -> None:
    explained = _names(r"(?m)^\| `(\w+)(?: \[(?:ADDRESS|PATH...)\])?` \|", "docs/cli.md")
    assert explained == set(COMMANDS)


def test_every_setting_is_explained() -> None:
    settings = _names(r'"([A-Z]+_\w+)"', "src/config.rs")
    # What tells a Ray pod and a Kubernetes pod: set by those, read by us, nobody's setting.
    marks = {name for name in settings if name.startswith(("RAY_NODE", "RAY_CL", "RAY_US", "KUBE"))}
    explained = _names(r"`([A-Z]+_\w+)", "docs/settings.md")
    assert settings - marks <= explained
    assert _names(r"\b(SEEDCORE_RAY_[A-Z_]+)", "README.md", *_PAGES) <= explained


def test_every_state_and_event_is_explained() -> None:
    page = "docs/states.md"
    states = _names(r'=> "(\w+)",', "src/session/connection.rs") - {"native", "client", "adopted"}
    assert len(states) == 7
    drawn = _names(r"(?m)^    (\w+) -->", page) | _names(r"--> (\w+)", page)
    assert drawn == states
    events = _names(r'=> "(\w+)",', "src/events.rs")
    assert _names(r"(?m)^\| `(\w+)` \|", page) >= states | events


def test_every_log_line_is_one_of_ours() -> None:
    """Those that operations.md explains; what differs in them is left out there."""
    files = [*(ROOT / "src").rglob("*.rs"), *(ROOT / "python").rglob("*.py")]
    source = re.sub(r"\\\n\s*", "", "".join(file.read_text() for file in files))
    source = source.replace('\\"', '"')
    lines = _names(r"(?m)^\| (?:INFO|WARNING|ERROR) \| `(.+?)` \|", "docs/operations.md")
    assert len(lines) > 15
    for line in lines:
        for part in (part.strip(" ;,()") for part in line.split("…")):
            # The first word may be one of two, as in "{how} to Ray at".
            assert part in source or part.partition(" ")[2] in source, line


def test_prose_is_wrapped() -> None:
    """Tables may be longer."""
    for page in (*_TOP, *_PAGES):
        text = re.sub(r"(?ms)^```.*?^```$", "", (ROOT / page).read_text())
        long = [line for line in text.splitlines() if len(line) > 100 and "|" not in line[:5]]
        assert not long, f"{page}: {long}"


def test_every_logger_is_explained() -> None:
    used = _names(r'= "(seedcore_ray\.\w+)";', "src/log_target.rs")
    files = [str(file.relative_to(ROOT)) for file in (ROOT / "python").rglob("*.py")]
    used |= _names(r'getLogger\("(seedcore_ray\.\w+)"\)', *files)
    assert used == _names(r"(?m)^\| `(seedcore_ray\.\w+)` \|", "docs/operations.md")


def test_every_link_leads_somewhere() -> None:
    for page in (*_TOP, *_PAGES):
        text = (ROOT / page).read_text()
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
            led = (ROOT / page).parent / target if target else ROOT / page
            assert led.exists(), f"{page}: {target}"
            if anchor:
                titles = re.findall(r"(?m)^#+ (.+)$", led.read_text())
                anchors = {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}
                assert anchor in anchors, f"{page}: {target}#{anchor}"


def test_what_is_claimed_can_be_looked_up() -> None:
    """In the README each claim leads to a test, a figure or a page; each page to what shows it."""
    claims = re.findall(r"(?ms)^- \*\*.+?(?=^- \*\*|\n\n)", (ROOT / "README.md").read_text())
    assert len(claims) > 5
    for claim in claims:
        assert "](" in claim, claim
    for page in set(_PAGES) - {"docs/README.md"}:
        text = (ROOT / page).read_text()
        assert re.search(r"\]\(\.\./(tests|benches|chaos)\b|`make \w+`", text), page


def test_every_page_is_in_the_index() -> None:
    listed = _names(r"\]\(([\w-]+\.md)\)", "docs/README.md")
    assert {f"docs/{page}" for page in listed} == {*_PAGES} - {"docs/README.md"}


def test_the_site_has_the_order_of_the_index() -> None:
    site = (ROOT / "mkdocs.yml").read_text().partition("nav:\n")[2].partition("\n\n")[0]
    index = (ROOT / "docs/README.md").read_text().partition("## ")[2].partition("To work on")[0]
    chapters = re.findall(r"(?m)^  - (.+):$", site)
    assert len(chapters) > 3 and chapters == re.findall(r"(?m)^(?:## )?(\w[\w ]+)$", index)
    assert re.findall(r"(?m)^      - (.+)$", site) == re.findall(r"\]\(([\w-]+\.md)\)", index)


def test_every_dependency_has_its_reason() -> None:
    # Python 3.10 has no tomllib; the shape of our own file is enough.
    cargo = (ROOT / "Cargo.toml").read_text()
    crates = set(re.findall(r"(?m)^\[dependencies\.(\S+)\]", cargo))
    section = cargo.split("[dependencies]\n")[1].split("\n[")[0]
    crates |= set(re.findall(r"(?m)^([\w-]+) = ", section))
    packages = _names(r"(?m)^([\w-]+)", "requirements/test.in")
    required = re.findall(r"(?m)^dependencies = \[(.*)\]", (ROOT / "pyproject.toml").read_text())
    packages |= set(re.findall(r'"([\w-]+)', required[0]))
    reasons = _names(r"(?m)^\| (`.*?`) \|", "docs/dependencies.md")
    explained = {name.split("[")[0] for cell in reasons for name in re.findall(r"`(.*?)`", cell)}
    assert explained == crates | packages


def test_generated_documents_show_the_results() -> None:
    resilience = {ROOT / "docs/resilience.md": document(store.read())}
    written = {**readme.documents(), **timeline.documents(), **resilience}
    for path, text in written.items():
        assert path.read_text() == text, path


def test_results_are_kept_one_row_a_line() -> None:
    path = ROOT / "benches/results.json"
    kept = json.loads(path.read_text())
    rows = [{"group": row["group"], **Row.from_json(row).as_json()} for row in kept["rows"]]
    assert path.read_text() == dumps({"run": kept["run"], "rows": rows}) + "\n"
    assert (ROOT / "chaos/results.json").read_text() == store.text(store.read())


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 120
