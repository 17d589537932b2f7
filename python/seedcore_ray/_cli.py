"""The command line: ``python -m seedcore_ray which``."""

import argparse
from collections.abc import Sequence

from seedcore_ray import _which


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; what it returns is the exit code."""
    parser = argparse.ArgumentParser(prog="python -m seedcore_ray")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "which", help="which files serve the drop-in modules; exit code 1 when one is not ours"
    )
    parser.parse_args(arguments)
    return which()


def which() -> int:
    """Print what serves each drop-in module, and if that is wrong, why and what to do."""
    servers = _which.servers()
    width = max(map(len, servers))
    for name, file in servers.items():
        print(f"{name:{width}}  {file or 'nobody'}")
    problem = _which.problem(servers)
    print(f"{'import hook':{width}}  {_which.hook_state()}")
    if problem is None:
        return 0
    print(f"\nNot seedcore-ray's: {problem}")
    return 1
