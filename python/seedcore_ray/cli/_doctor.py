"""``seedcore-ray doctor``: every hop on the way to Ray, one diagnosis, the next thing to do."""

from __future__ import annotations

import sys
import time

from seedcore_ray import _core, _hook_status
from seedcore_ray.cli import _config
from seedcore_ray.cli._output import Console, columns, document, duration, sentence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def doctor(address: str | None, timeout_s: float | None, as_json: bool, full: bool = False) -> int:
    """Examine the way to Ray, and print all of it; on a terminal, what matters of it.

    Args:
        address: as for a connect.
        timeout_s: bound of one probe; None is the probe timeout.
        as_json: print a document.
        full: print all of it on a terminal, too.

    Returns:
        0 when a connect would work, 1 when it would but the drop-in modules are not ours, else the
        exit code of the cause.
    """
    at = time.time()
    servers = _hook_status.servers()
    ray = _ray_version()
    # Modules that are not ours are no problem when somebody switched the hook off on purpose.
    not_served = None if _hook_status.switched_off() else _hook_status.problem(servers)
    found = _core.examine(address, timeout_s, ray, not_served)
    here = {
        "seedcore_ray": found.pop("version"),
        "python": ".".join(map(str, sys.version_info[:3])),
        "executable": sys.executable,
        "ray": ray,
        "modules": servers,
        "import_hook": _hook_status.hook_state(),
    }
    code: int = found["diagnosis"]["exit_code"]
    console = Console()
    if as_json:
        console.write(document("doctor", code, {"at": at, "here": here, **found}))
    elif console.is_terminal and not full:
        from seedcore_ray.cli._glance import glance

        console.write("\n".join(glance(console, here, found)))
    else:
        console.write("\n".join(_report(console, at, here, found)))
    return code


def _ray_version() -> str | None:
    """The version of the Ray that an import would find; None without one.

    Read from Ray's file: ``importlib.metadata`` takes longer than all the hops.
    """
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("ray")
    for folder in (spec and spec.submodule_search_locations) or ():
        file = Path(folder, "_version.py")
        for line in file.read_text().splitlines() if file.is_file() else ():
            if line.startswith("version = "):
                return line.partition(" = ")[2].strip("\"'")
    return None


def _report(console: Console, at: float, here: dict[str, Any], found: dict[str, Any]) -> list[str]:
    clock = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(at))
    lines = [console.style(f"seedcore-ray {here['seedcore_ray']} doctor, {clock}", "strong")]
    lines += _section(console, "this process", _process(console, here))
    lines += _section(console, "settings", _config.table(console, found["settings"], "  "))
    for candidate in found["candidates"]:
        lines += _section(console, *_candidate(console, candidate))
    return lines + _diagnosis(console, found["diagnosis"])


def _section(console: Console, title: str, lines: list[str]) -> list[str]:
    return ["", console.style(title, "strong"), *lines]


def _process(console: Console, here: dict[str, Any]) -> list[str]:
    rows = [
        ("python", f"{here['python']}, {here['executable']}"),
        ("ray", here["ray"] or "not installed"),
        *_hook_status.rows(here["modules"]),
    ]
    width = columns(rows)[0]
    return [f"  {name:{width}}  {console.wrapped(value, width + 4)}" for name, value in rows]


def _candidate(console: Console, candidate: dict[str, Any]) -> tuple[str, list[str]]:
    kind = "fallback " if candidate["is_fallback"] else ""
    kind = "standby " if candidate["is_standby"] else kind
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
            console.style(f"{verdict:{widths[2]}}", verdict),
            f"{name:{widths[3]}}",
            console.wrapped(hop["detail"], indent),
        )
        lines.append("  " + "  ".join(cells))
    return title, lines


def _clock(at: float | None) -> str:
    if at is None:
        return ""
    return f"{time.strftime('%H:%M:%S', time.localtime(at))}.{int(at % 1 * 1000):03}"


def _took(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)


def _diagnosis(console: Console, diagnosis: dict[str, Any]) -> list[str]:
    verdict = "ok" if diagnosis["exit_code"] == 0 else "failed"
    kind = diagnosis["kind"] or verdict
    margin = len("diagnosis") + 2
    text = console.wrapped(f"{kind}: {sentence(diagnosis['sentence'])}", margin)
    shown = f"{console.style(kind, verdict)}{text[len(kind) :]}"
    return [
        "",
        f"{console.style('diagnosis', 'strong')}  {shown}",
        f"{console.style('next', 'strong')}       {console.wrapped(diagnosis['next'], margin)}",
    ]
