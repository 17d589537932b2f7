"""What ``make demo`` shows: two services connect to Ray, and three addresses that cannot work.

Starts a private Ray head, runs small programs as a user would write them, prints what they print,
stops the head. Needs the package and ``ray[client]``; leaves nothing behind.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from seedcore_ray.testing import RayHead, free_ports

SERVICE = """
    import logging, time
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("ray").setLevel(logging.ERROR)

    from seedcore.utils.ray_utils import ensure_ray_initialized

    print("connected:", ensure_ray_initialized())

    import ray, seedcore_ray

    @ray.remote
    def where():
        import os
        return f"6 * 7 = {6 * 7}, computed by process {os.getpid()}"

    print("a task says:", ray.get(where.remote()))
    now = seedcore_ray.connection()
    print("connection:", now.state, now.mode, now.address, now.namespace)

    began = time.perf_counter()
    for _ in range(1_000_000):
        ensure_ray_initialized()
    spent = time.perf_counter() - began
    print(f"a million further calls: {spent:.3f} s, {spent * 1000:.0f} ns each")
"""

FAILURE = """
    import logging, time
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")

    import seedcore_ray
    from seedcore.utils.ray_utils import ensure_ray_initialized

    began = time.perf_counter()
    connected = ensure_ray_initialized(connect_timeout_s=0)
    spent = time.perf_counter() - began
    error = seedcore_ray.last_error()
    print(f"connected: {connected}, after {spent * 1000:.1f} ms")
    print("cause:", error.kind)
    print("hint:", error.hint)
"""


class _NotRay(BaseHTTPRequestHandler):
    """A web server like any other."""

    def do_GET(self) -> None:
        """Answer, in HTTP."""
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the demo's output is the programs'."""


def main() -> int:
    """Run all scenes; 1 if any program failed."""
    web = ThreadingHTTPServer(("127.0.0.1", 0), _NotRay)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    began = time.monotonic()
    # Where a program looks for its home and for Ray's address file: not the user's.
    with tempfile.TemporaryDirectory(prefix="seedcore-demo-") as home:
        print("Starting a private Ray head ...", end=" ", flush=True)
        with RayHead() as head:
            print(f"up in {time.monotonic() - began:.1f} s at {head.gcs_address}")
            _show_program("The service", SERVICE)
            _show_program("The same with an address that cannot work", FAILURE)
            dead = f"ray://127.0.0.1:{free_ports(1)[0]}"
            scenes = [
                ("In a Ray pod: nothing to configure", SERVICE, None),
                ("In a client pod", SERVICE, head.client_address),
                ("A dead address", FAILURE, dead),
                ("The wrong port: ray:// at the GCS", FAILURE, f"ray://{head.gcs_address}"),
                ("A web server", FAILURE, f"ray://127.0.0.1:{web.server_port}"),
            ]
            codes = [
                _scene(title, source, address, {"HOME": home, **head.env()})
                for title, source, address in scenes
            ]
        print("\nThe head is stopped, its directory removed.")
    web.shutdown()
    return 1 if any(codes) else 0


def _show_program(title: str, source: str) -> None:
    print(f"\n--- {title}, as a program ---\n{textwrap.indent(textwrap.dedent(source), '    ')}")


def _scene(title: str, source: str, address: str | None, env: dict[str, str]) -> int:
    print(f"\n=== {title} (RAY_ADDRESS {address or 'unset'}) ===", flush=True)
    asked = {"RAY_ADDRESS": address} if address else {}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RAY_", "SEEDCORE_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        env={**inherited, "RAY_USAGE_STATS_ENABLED": "0", **env, **asked},
        cwd=env["HOME"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    print(textwrap.indent(done.stdout.rstrip(), "  "), flush=True)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
