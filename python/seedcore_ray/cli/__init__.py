"""The command line: ``seedcore-ray``, the same as ``python -m seedcore_ray``.

Each command has a module of its own, which is imported only when it runs. Nothing here imports
``ray``, connects, or opens or obeys the breaker.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; None takes those of this process.

    Returns:
        The exit code, see docs/cli.md.

    Raises:
        SystemExit: after ``--help`` and ``--version``, and with 2 for a usage error.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if (plain := _plain(words)) is not None:
            return _probe(words[0], *plain)
        from seedcore_ray.cli._arguments import run

        return run(words)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader has enough. Python would fail at exit to flush what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _plain(words: list[str]) -> tuple[str | None, float | None, bool] | None:
    """The options of a plain ``doctor`` or ``health``, as probes write it; None for all else.

    An exec probe runs every few seconds in every pod, and loading argparse takes a third as long
    as all the rest of it.
    """
    timeout_s = None
    match [word for word in words if word != "--json"]:
        case ["doctor" | "health", *rest, "--timeout", text]:
            try:
                timeout_s = seconds(text)
            except ValueError:
                return None
        case ["doctor" | "health", *rest]:
            pass
        case _:
            return None
    if len(rest) > 1 or any(word.startswith("-") or not word for word in rest):
        return None
    return rest[0] if rest else None, timeout_s, "--json" in words


def _probe(command: str, address: str | None, timeout_s: float | None, as_json: bool) -> int:
    if command == "doctor":
        from seedcore_ray.cli._doctor import doctor as probe
    else:
        from seedcore_ray.cli._health import health as probe
    return probe(address, timeout_s, as_json)


def seconds(text: str) -> float:
    """Parse a duration above 0, of at most a year; ``ValueError`` for anything else."""
    from seedcore_ray._core import MAX_SECONDS

    value = float(text)
    if not 0 < value <= MAX_SECONDS:
        raise ValueError
    return value
