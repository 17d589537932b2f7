"""The arguments of all commands, read by argparse."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from importlib import import_module

from seedcore_ray import _core
from seedcore_ray.cli._plain import seconds

_ABOUT = """\
See what stands between this process and Ray.

ADDRESS is what ray_address takes: auto, local, host:port or ray://host[:port].
Left out, it is RAY_ADDRESS, else auto."""
_EXIT_CODES = "Exit codes: 0 ok, 1 failed, 2 wrong arguments, from 10 on one for each cause \
(docs/cli.md)."

COMMANDS = {
    "doctor": "Every hop on the way to Ray, one diagnosis, and the next thing to do.",
    "wait": "Wait until Ray answers; for init containers, compose files and CI. Ends at once with "
    "a cause that time cannot cure, such as a wrong port or a refused token.",
    "health": "One bounded probe; for exec probes.",
    "which": "Which files serve the drop-in modules; exit code 1 when one is not ours.",
    "config": "The settings in force, and where each came from; exit code 1 when one cannot be "
    "used.",
    "migrate": "Find the ray.init calls of a code base, explain each, and rewrite the safe ones.",
}
_PROBE_TIMEOUT = "Default: SEEDCORE_RAY_PROBE_TIMEOUT_S, 2."
_TIMEOUTS = {
    "doctor": (None, f"Bound of one probe. {_PROBE_TIMEOUT}"),
    "wait": (60.0, "How long to wait. Default: 60."),
    "health": (None, f"Bound of the whole probe. {_PROBE_TIMEOUT}"),
}


def run(words: list[str]) -> int:
    """Run the command that the arguments ask for; returns its exit code."""
    options = vars(_parser().parse_args(words))
    command = options.pop("command")
    function = getattr(import_module(f"seedcore_ray.cli._{command}"), command)
    return int(function(**options))


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="seedcore-ray",
        description=_ABOUT,
        epilog=_EXIT_CODES,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    version = f"seedcore-ray {_core.VERSION}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        if name == "migrate":
            continue  # listed here, read by its own parser
        if name in _TIMEOUTS:
            default, what = _TIMEOUTS[name]
            command.add_argument("address", metavar="ADDRESS", nargs="?")
            command.add_argument(
                "--timeout",
                dest="timeout_s",
                metavar="SECONDS",
                type=seconds,
                default=default,
                help=what,
            )
        if name == "doctor":
            command.add_argument(
                "--full", action="store_true", help="On a terminal, too, all that a pipe gets."
            )
        command.add_argument(
            "--json", dest="as_json", action="store_true", help="Print one JSON document."
        )
    return parser
