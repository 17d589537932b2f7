"""``ray start`` of a head whose Ray Client servers have ports that no other head uses.

``python _start.py FIRST LAST start --head ...``. Ray runs a server for each client, on ports from
23000 on, and only checks whether a port is bound *now*: the server binds a second later, and shares
the port if another one was quicker. Two heads of one machine thus put a client of one into the
cluster of the other. Ray has no setting for it, so this file starts the process that assigns them.
"""

from __future__ import annotations

import runpy
import sys
from typing import Any

_CLIENT_SERVER = "ray.util.client.server"


def start(first: str, last: str, arguments: list[str]) -> None:
    """Run Ray's command line; the client server that it starts comes back to ``serve``."""
    from ray._private import services
    from ray.scripts import scripts

    original = services.start_ray_process

    def start_ray_process(command: list[str], *args: Any, **kwargs: Any) -> Any:
        if _CLIENT_SERVER in command:
            at = command.index(_CLIENT_SERVER)
            command = [*command[: at - 1], __file__, first, last, *command[at + 1 :]]
        return original(command, *args, **kwargs)

    services.start_ray_process = start_ray_process
    sys.argv = ["ray", *arguments]
    scripts.main()


def serve(first: str, last: str, arguments: list[str]) -> None:
    """Be the client server, with these ports to assign."""
    from ray.util.client.server import proxier

    proxier.MIN_SPECIFIC_SERVER_PORT = int(first)
    proxier.MAX_SPECIFIC_SERVER_PORT = int(last) + 1
    sys.argv = [_CLIENT_SERVER, *arguments]
    runpy.run_module(_CLIENT_SERVER, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    # Ray's processes do not import from this folder.
    del sys.path[0]
    _, low, high, *rest = sys.argv
    (start if rest[0] == "start" else serve)(low, high, rest)
