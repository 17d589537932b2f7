"""A real nginx before a Ray Client port, configured as docs/gateways.md says, or otherwise."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from seedcore_ray.testing import CertFiles, accepts, free_ports
from tests.support.debian import program
from tests.support.peers import HOST
from tests.support.polling import SOON_S, wait_until

_DOCS = Path(__file__).parents[2] / "docs" / "gateways.md"

# In the foreground, and writing nowhere but into its own folder.
_CONFIG = """
daemon off;
pid {root}/pid;
error_log {root}/error.log info;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {root}/body;
  proxy_temp_path {root}/proxy;
  fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi;
  scgi_temp_path {root}/scgi;
  {servers}
}}
"""


@dataclass(frozen=True)
class Site:
    """One server of an nginx: its directives, and what follows the port in ``listen``."""

    directives: str
    listen: str = "http2"

    def with_tls(self, files: CertFiles) -> Site:
        """The same over TLS."""
        tls = f"ssl_certificate {files.cert}; ssl_certificate_key {files.key};"
        return Site(f"{tls} {self.directives}", f"ssl {self.listen}")


def documented(upstream: str) -> Site:
    """The server of docs/gateways.md, before the Ray Client port ``upstream``."""
    found = re.search(r"```nginx\nserver \{\n(.*?)\n\}\n```", _DOCS.read_text(), re.DOTALL)
    assert found, "docs/gateways.md shows a server"
    listen, directives = found[1].split(";", maxsplit=1)
    assert listen.strip() == "listen 10001 http2"
    return Site(directives.replace("ray-head:10001", upstream))


def answering(status: int) -> Site:
    """A server that gives everybody this answer."""
    return Site(f"location / {{ return {status}; }}")


class Nginx:
    """nginx with a free port for each of its sites, until it is closed."""

    def __init__(self, root: Path, **sites: Site) -> None:
        """Start it in the folder ``root``, and wait until it listens."""
        self._root = root
        self._program = program("nginx")
        self._ports = dict(zip(sites, free_ports(len(sites)), strict=True))
        self._process: subprocess.Popen[bytes] | None = None
        root.mkdir(parents=True, exist_ok=True)
        self.start(**sites)

    def address(self, site: str, host: str = HOST) -> str:
        """``ray://host:port`` of a site."""
        return f"ray://{host}:{self._ports[site]}"

    def start(self, **sites: Site) -> None:
        """Start it, after ``close``, with these for the sites of the same names."""
        self._configure(sites)
        command = [self._program.path, "-p", str(self._root), "-c", str(self._root / "nginx.conf")]
        self._process = subprocess.Popen(
            [*command, "-e", str(self._root / "error.log")],
            env=self._program.env,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self._listens, SOON_S, "nginx listens")

    def reload(self, **sites: Site) -> None:
        """Serve these instead, as when an operator reloads it: open connections stay."""
        assert self._process is not None
        self._configure(sites)
        self._process.send_signal(signal.SIGHUP)

    def close(self) -> None:
        """End it at once, with its workers: open connections break."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def __enter__(self) -> Nginx:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _configure(self, sites: dict[str, Site]) -> None:
        servers = "\n".join(
            f"server {{ listen {HOST}:{self._ports[name]} {site.listen}; {site.directives} }}"
            for name, site in sites.items()
        )
        config = _CONFIG.format(root=self._root, servers=servers)
        (self._root / "nginx.conf").write_text(config)

    def _listens(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError((self._root / "error.log").read_text())
        return all(accepts(HOST, port) for port in self._ports.values())
