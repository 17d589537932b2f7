"""``ray start`` of a head whose Ray Client servers have ports that no other head uses.

``python _start.py FIRST LAST start --head ...``. Ray runs a server for each client, on ports from
23000 on, and only checks whether a port is bound *now*: the server binds a second later, and shares
the port if another one was quicker. Two heads of one machine thus put a client of one into the
cluster of the other. Ray has no setting for it, so this file starts the process that assigns them.

It also leaves out what does nothing for a head of the tests and takes a third of its start, and of
the connect of a client: commands of ``ray`` that are not ``start``, the dashboard's process of a
head without a dashboard, and the program that sets up the ``runtime_env`` of a client that has
none.

And it lets a busy machine take its time: Ray gives its raylet 30 seconds, whatever it is told. Who
started the head ends it when that takes too long.
"""

from __future__ import annotations

import runpy
import sys
import time
from collections.abc import Callable
from typing import Any

_CLIENT_SERVER = "ray.util.client.server"
_SETUP = "setup_worker.py"
_CONTEXT = "--serialized-runtime-env-context="
_POLL_S = 0.1
# Ray's command line does without each of these where it cannot be imported. Serve takes FastAPI.
_OTHER_COMMANDS = (
    "ray.dashboard.modules.job.cli",
    "ray.serve.scripts",
    "ray.util.state.state_cli",
)


def start(first: str, last: str, arguments: list[str]) -> None:
    """Run Ray's command line; the client server that it starts comes back to ``serve``."""
    for module in _OTHER_COMMANDS:
        sys.modules[module] = None  # type: ignore[assignment]
    from ray._private import services
    from ray.scripts import scripts

    original = services.start_api_server

    def start_api_server(include_dashboard: bool | None, *args: Any, **kwargs: Any) -> Any:
        if include_dashboard is False:
            return "", None
        return original(include_dashboard, *args, **kwargs)

    def ours(command: list[str]) -> list[str]:
        at = command.index(_CLIENT_SERVER)
        return [*command[: at - 1], __file__, first, last, *command[at + 1 :]]

    services.start_api_server = start_api_server
    _adapt_services(ours)
    sys.argv = ["ray", *arguments]
    scripts.main()


def serve(first: str, last: str, arguments: list[str]) -> None:
    """Be the client server, with these ports to assign."""
    from ray.util.client.server import proxier

    proxier.MIN_SPECIFIC_SERVER_PORT = int(first)
    proxier.MAX_SPECIFIC_SERVER_PORT = int(last) + 1
    _adapt_services(lambda command: command)
    sys.argv = [_CLIENT_SERVER, *arguments]
    runpy.run_module(_CLIENT_SERVER, run_name="__main__", alter_sys=True)


def _adapt_services(change: Callable[[list[str]], list[str]]) -> None:
    from ray._private import services

    original = services.start_ray_process

    def start_ray_process(command: list[str], *args: Any, **kwargs: Any) -> Any:
        if _CLIENT_SERVER in command:
            command = change(without_empty_setup(command))
        return original(command, *args, **kwargs)

    services.start_ray_process = start_ray_process
    # Both processes ask: this one after it has started the raylet, the other one meanwhile.
    services.get_node = _patient(services.get_node)


def _patient(get_node: Callable[..., Any]) -> Callable[..., Any]:
    """Answer once the raylet is known to the GCS; Ray's own asks until 30 seconds are over."""

    def answers(*args: Any, **kwargs: Any) -> Any:
        while True:
            try:
                return get_node(*args, **kwargs)
            except RuntimeError:
                time.sleep(_POLL_S)

    return answers


def without_empty_setup(command: list[str]) -> list[str]:
    """Call the server itself, not the program that imports Ray to make its environment first."""
    from ray._private.runtime_env.context import RuntimeEnvContext

    python, setup, *rest = command
    contexts = [part.removeprefix(_CONTEXT) for part in rest if part.startswith(_CONTEXT)]
    if not setup.endswith(_SETUP) or contexts not in ([], [RuntimeEnvContext().serialize()]):
        return command
    # What is for that program, and what the server would not understand.
    return [python, *(part for part in rest if not part.startswith((_CONTEXT, "--language=")))]


if __name__ == "__main__":
    # Ray's processes do not import from this folder.
    del sys.path[0]
    _, low, high, *rest = sys.argv
    (start if rest[0] == "start" else serve)(low, high, rest)
