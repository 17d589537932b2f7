"""``seedcore-ray doctor``: every hop on the way to Ray, one diagnosis, the next thing to do."""

from __future__ import annotations

import sys
import time

from seedcore_ray import _core, _hook_status
from seedcore_ray.cli import _config
from seedcore_ray.cli._health import sentence
from seedcore_ray.cli._output import Paper, columns, document, shown_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def doctor(address: str | None, timeout_s: float | None, as_json: bool) -> int:
    """Examine, and print all of it.

    Args:
        address: what a connect would be given.
        timeout_s: bound of one look; None is the probe timeout.
        as_json: print a document.

    Returns:
        0 when a connect would work, 1 when it would but the drop-in modules are not ours, else the
        number of the cause.
    """
    at = time.time()
    servers = _hook_status.servers()
    ray = _ray_version()
    found = _core.examine(address, timeout_s, ray, _not_served(servers))
    here = {
        "seedcore_ray": found.pop("version"),
        "python": ".".join(map(str, sys.version_info[:3])),
        "executable": sys.executable,
        "ray": ray,
        "modules": servers,
        "import_hook": _hook_status.hook_state(),
    }
    code: int = found["diagnosis"]["exit_code"]
    paper = Paper()
    if as_json:
        paper.write(document("doctor", code, {"at": at, "here": here, **found}))
    else:
        paper.write("\n".join(_report(paper, at, here, found)))
    return code


def _not_served(servers: dict[str, str | None]) -> str | None:
    """Why the drop-in modules are not ours, unless somebody switched them off on purpose."""
    return None if _hook_status.switched_off() else _hook_status.problem(servers)


def _ray_version() -> str | None:
    """Of the Ray that an import would find; None without one.

    Read from its file: the same from ``importlib.metadata`` takes longer than all the hops.
    """
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("ray")
    for folder in (spec and spec.submodule_search_locations) or ():
        file = Path(folder, "_version.py")
        lines = file.read_text().splitlines() if file.is_file() else []
        for line in lines:
            if line.startswith("version = "):
                return line.partition(" = ")[2].strip("\"'")
    return None


def _report(paper: Paper, at: float, here: dict[str, Any], found: dict[str, Any]) -> list[str]:
    clock = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(at))
    lines = [paper.style(f"seedcore-ray {here['seedcore_ray']} doctor, {clock}", "strong")]
    lines += _section(paper, "this process", _process(here))
    lines += _section(paper, "settings", _config.lines(paper, found["settings"], "  "))
    for candidate in found["candidates"]:
        lines += _section(paper, *_candidate(paper, candidate))
    return lines + _diagnosis(paper, found["diagnosis"])


def _section(paper: Paper, title: str, lines: list[str]) -> list[str]:
    return ["", paper.style(title, "strong"), *lines]


def _process(here: dict[str, Any]) -> list[str]:
    rows = [
        ("python", f"{here['python']}, {here['executable']}"),
        ("ray", here["ray"] or "not installed"),
        *((name, file or "nobody") for name, file in here["modules"].items()),
        ("import hook", here["import_hook"]),
    ]
    width = columns(rows)[0]
    return [f"  {name:{width}}  {value}" for name, value in rows]


def _candidate(paper: Paper, candidate: dict[str, Any]) -> tuple[str, list[str]]:
    kind = "fallback " if candidate["is_fallback"] else ""
    title = f"{kind}{candidate['address']}"
    if candidate["verdict"] == "skipped":
        return f"{title}, not tried: nothing has to be replaced", []
    hops = candidate["hops"]
    rows = [(_clock(hop["at"]), _took(hop["took_s"]), hop["verdict"], hop["name"]) for hop in hops]
    widths = columns(rows)
    indent = 2 + sum(widths) + 2 * len(widths)
    lines = []
    for hop, (clock, took, verdict, name) in zip(hops, rows, strict=True):
        cells = (
            f"{clock:{widths[0]}}",
            f"{took:>{widths[1]}}",
            paper.style(f"{verdict:{widths[2]}}", verdict),
            f"{name:{widths[3]}}",
            paper.folded(hop["detail"], indent),
        )
        lines.append("  " + "  ".join(cells))
    return title, lines


def _clock(at: float | None) -> str:
    if at is None:
        return ""
    return f"{time.strftime('%H:%M:%S', time.localtime(at))}.{int(at % 1 * 1000):03}"


def _took(seconds: float | None) -> str:
    return "" if seconds is None else shown_time(seconds)


def _diagnosis(paper: Paper, diagnosis: dict[str, Any]) -> list[str]:
    verdict = "ok" if diagnosis["exit_code"] == 0 else "failed"
    kind = diagnosis["kind"] or verdict
    margin = len("diagnosis") + 2
    told = paper.folded(f"{kind}: {sentence(diagnosis['sentence'])}", margin)
    return [
        "",
        f"{paper.style('diagnosis', 'strong')}  {paper.style(kind, verdict)}{told[len(kind) :]}",
        f"{paper.style('next', 'strong')}       {paper.folded(diagnosis['next'], margin)}",
    ]
