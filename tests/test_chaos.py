"""The machinery below ``python -m chaos network``: pods, the wire between them, names."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos import pods
from seedcore_ray.testing.processes import descendants, exists
from tests.support import wait_until

ROOT = Path(__file__).parents[1]
# Two pods, and a program in one that asks a program in the other: "all" when all that it ever sent
# has come back within the bound.
WORLD = """
import socket, subprocess, sys, tempfile
from pathlib import Path
from chaos.names import NameServer, use_name_server
from chaos.pods import Lan
from chaos.wire import NOT_AT_ALL, WELL, Carrying, Wire

ECHO = '''
import socket
with socket.create_server((sys.argv[1], 7)) as server:
    print("up", flush=True)
    line = server.accept()[0]
    while byte := line.recv(1):
        line.sendall(byte)
'''
ASK = '''
import socket, sys
line = socket.create_connection(("echo.chaos", 7))
missing = 0
for order in sys.stdin:
    line.settimeout(float(order))
    line.sendall(b"x")
    missing += 1
    try:
        while missing:
            missing -= len(line.recv(missing))
        print("all", flush=True)
    except TimeoutError:
        print("nothing", flush=True)
'''

def program(pod, source, *arguments):
    command = [*pod.prefix, sys.executable, "-c", "import sys\\n" + source, *arguments]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )

def said(program):
    return program.stdout.readline().strip()

def ask(asker, bound_s):
    asker.stdin.write(f"{bound_s}\\n")
    return said(asker)

with tempfile.TemporaryDirectory() as folder, Lan() as lan:
    use_name_server(Path(folder))
    names = NameServer()
    one, other = lan.pod("one", "10.77.0.1"), lan.pod("other", "10.77.0.2")
    names.records["echo.chaos"] = other.ip
    names.start()
    echo = program(other, ECHO, other.ip)
    assert said(echo) == "up"
    asker = program(one, ASK)
    assert ask(asker, 20) == "all"
"""
CUT = """
    names.stop()
    for there, back in ((NOT_AT_ALL, WELL), (WELL, NOT_AT_ALL)):
        wire = Wire(one, other, there, back)
        assert ask(asker, 0.2) == "nothing"
        wire.close()
        # The kernel sends it again.
        assert ask(asker, 20) == "all"
    wire = Wire(one, other, Carrying(delay_s=0.3), Carrying(delay_s=0.3))
    assert ask(asker, 0.5) == "nothing"
"""
STAY = """
    print("up", flush=True)
    sys.stdin.read()
"""


def world(source: str) -> subprocess.Popen[str]:
    command = [*pods.PREFIX, sys.executable, "-c", source]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)


@pytest.fixture(autouse=True, scope="module")
def _allowed() -> None:
    if reason := pods.hindrance():
        pytest.skip(reason)


@pytest.fixture
def staying() -> Iterator[subprocess.Popen[str]]:
    with world(WORLD + STAY) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "up\n":
            raise AssertionError(process.communicate()[1])
        yield process
        process.kill()


def test_wire_swallows_without_an_error_and_delays() -> None:
    with world(WORLD + CUT) as process:
        told = process.communicate(timeout=60)
    assert process.returncode == 0, told


def test_nothing_is_seen_outside_and_nothing_is_left(staying: subprocess.Popen[str]) -> None:
    links = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert "pods" not in links
    assert "/etc/resolv.conf" not in Path("/proc/mounts").read_text()
    inside = descendants(staying.pid)
    assert len(inside) >= 5, "the scenario, two pods and a program in each"
    staying.kill()
    wait_until(lambda: not any(exists(process.pid) for process in inside), 10, "their end")
