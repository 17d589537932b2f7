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
        if words[:1] == ["migrate"]:
            # Reads text: it needs neither the extension nor what loads it.
            from seedcore_ray.cli._migrate import migrate

            return migrate(words[1:])
        from seedcore_ray.cli import _plain

        if (options := _plain.options(words)) is not None:
            return _plain.probe(words[0], *options)
        from seedcore_ray.cli._arguments import run

        return run(words)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader has enough. Python would fail at exit to flush what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
