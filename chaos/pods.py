"""Machines of a scenario: network namespaces on one bridge, in a world that ends with its process.

A scenario that needs several machines runs in namespaces of its own: of networks, of mounts and of
processes. Bridge, pods, the ``resolv.conf`` that they see and every process in them
are in there, so that nothing outside is touched, two runs cannot meet, and the kernel takes it all
down when it ends, however it ends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from seedcore_ray.testing.processes import descendants

_APART = ("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "--")
PREFIX = (
    *_APART,
    # Not as process 1: a native driver whose parent that is takes it for the end of its raylet
    # (docs/ray-internals.md), and is to fare here as one elsewhere does.
    *("sh", "-c", '"$@"; exit $?', "init"),
)
"""Runs a program in a world of its own."""

BRIDGE_IP = "10.77.0.254"
"""Where the scenario itself is, for its pods."""

_TUN = Path("/dev/net/tun")
_TOOLS = ("ip", "unshare", "nsenter", "mount")
_BRIDGE = "pods"
# Sets up what every scenario sets up, and looks at what a wire needs.
_TRIAL = """
from chaos.pods import Lan
from chaos.wire import Wire
with Lan() as lan:
    Wire(lan.pod("one", "10.77.0.1"), lan.pod("other", "10.77.0.2")).close()
"""


class NotAllowedError(RuntimeError):
    """This machine does not let us make one of these things."""


def hindrance() -> str | None:
    """Why there can be no pods here, in words; None where there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if missing := [tool for tool in _TOOLS if shutil.which(tool) is None]:
        return f"{', '.join(missing)} not found (Debian: iproute2, util-linux, mount)"
    if not _TUN.exists():
        return f"{_TUN} does not exist"
    command = [*PREFIX, sys.executable, "-c", _TRIAL]
    root = Path(__file__).parents[1]
    tried = subprocess.run(command, capture_output=True, text=True, cwd=root)
    if tried.returncode != 0:
        words = tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"]
        return f"network namespaces are not allowed here: {words[-1]}"
    return None


def run(*command: str) -> None:
    """Run one of the system's tools; ``NotAllowedError`` with its own words where it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise NotAllowedError(f"`{' '.join(command)}`: {done.stderr.strip()}")


class Pod:
    """A network, with an address on the bridge, and processes that see no others."""

    def __init__(self, name: str, ip: str) -> None:
        self.name = name
        self.ip = ip
        # Holds the namespaces: a process, since a name would be a file of the machine's. In one
        # /proc a driver would see all raylets, and Ray has it join the head's.
        self._anchor = subprocess.Popen(
            [*_APART, "sh", "-c", "echo up; exec sleep infinity"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._anchor.stdout is not None
        self._anchor.stdout.readline()
        self.namespace = str(descendants(self._anchor.pid)[0].pid)
        """For ``ip link set ... netns``."""
        self._plug_in()

    @property
    def prefix(self) -> tuple[str, ...]:
        """Runs a program in it, as a child of what is started."""
        return ("nsenter", "--target", self.namespace, "--net", "--mount", "--pid", "--")

    def run(self, *command: str) -> None:
        """Run one of the system's tools in it."""
        run(*self.prefix, *command)

    def _plug_in(self) -> None:
        # The kernel allows an interface's name 15 characters.
        plug = f"to-{self.name}"[:15]
        run("ip", "link", "add", plug, "type", "veth", "peer", "eth0", "netns", self.namespace)
        run("ip", "link", "set", plug, "master", _BRIDGE, "up")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "address", "add", f"{self.ip}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        # It leads nowhere: Ray learns its own address from the route to the world.
        self.run("ip", "route", "add", "default", "via", BRIDGE_IP)

    def close(self) -> None:
        """Remove it. The kernel waits with that for the last process inside."""
        self._anchor.kill()
        self._anchor.wait()
        assert self._anchor.stdout is not None
        self._anchor.stdout.close()


class Lan:
    """The bridge, and the pods on it. To be made in a network namespace of one's own."""

    def __init__(self) -> None:
        self._pods: list[Pod] = []

    def __enter__(self) -> Lan:
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", _BRIDGE, "type", "bridge")
        run("ip", "address", "add", f"{BRIDGE_IP}/24", "dev", _BRIDGE)
        run("ip", "link", "set", _BRIDGE, "up")
        return self

    def __exit__(self, *raised: object) -> None:
        for pod in self._pods:
            pod.close()
        run("ip", "link", "delete", _BRIDGE)

    def pod(self, name: str, ip: str) -> Pod:
        """One more machine."""
        pod = Pod(name, ip)
        self._pods.append(pod)
        return pod
