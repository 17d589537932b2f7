"""The command line: ``seedcore-ray``, the same as ``python -m seedcore_ray``.

One file a command; ``_app`` is where click reads their arguments. Nothing here imports ``ray``,
connects, or opens or obeys the breaker.
"""

import sys

from seedcore_ray.cli import _plain
from seedcore_ray.cli._output import hung_up, interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; None takes those of this process.

    Returns:
        The exit code, see docs/cli.md.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = _plain.run(arguments)
        return _with_click(arguments) if code is None else code
    except KeyboardInterrupt:
        return interrupted()
    except BrokenPipeError:
        return hung_up()


def _with_click(arguments: "Sequence[str]") -> int:
    try:
        from seedcore_ray.cli import _app
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        print(
            "click is not installed, which reads the arguments: pip install click", file=sys.stderr
        )
        return 1
    return _app.run(arguments)
