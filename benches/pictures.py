"""Records the pictures of the command line: ``make pictures``.

Each is a real command on a real terminal. Nothing in them is written by hand: what a command says
of a head, it said of a head that ran, or did not, when the picture was taken.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

from benches import terminal
from seedcore_ray.testing import RayHead
from tests.cli.commands import on_terminal

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
_COLUMNS = 100
# The ports of a Ray that nobody has told otherwise.
_PORTS = {"--port": 6379, "--ray-client-server-port": 10001}
# What services have: one call in each, and a guard that looks right.
_EXAMPLE = """\
    import os

    import ray

    if not ray.is_initialized():
        ray.init(address=os.getenv("RAY_ADDRESS", "auto"), namespace="prod")


    @ray.remote
    def price(order):
        return sum(item.price for item in order.items)
"""


@dataclass(frozen=True)
class Scene:
    """A command on a terminal."""

    words: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    heard: Callable[[str], object] = lambda text: None

    def told(self) -> str:
        """The prompt, and all that the command wrote."""
        _, text = on_terminal(
            *self.words, env=self.env, columns=_COLUMNS, cwd=self.cwd, heard=self.heard
        )
        return f"\x1b[2m$\x1b[0m \x1b[1mseedcore-ray {' '.join(self.words)}\x1b[0m\n{text}"


def doctor(gcs_address: str) -> Scene:
    """A Ray Client is pointed at the GCS: the port that ``ray status`` and the dashboard show."""
    return Scene(("doctor", f"ray://{gcs_address}"), {"SEEDCORE_NS": "prod"})


def wait(client_address: str, comes_back: Callable[[], object]) -> Scene:
    """A head that is away; ``comes_back`` is called once the command waits for it."""
    called = threading.Event()

    def heard(text: str) -> None:
        if "waiting" in text and not called.is_set():
            called.set()
            threading.Thread(target=comes_back).start()

    return Scene(("wait", client_address), heard=heard)


def migrate(folder: Path) -> Scene:
    """The rewrite of a service."""
    (folder / "orders.py").write_text(dedent(_EXAMPLE))
    return Scene(("migrate", "--unsafe-fixes", "--diff"), cwd=folder)


class _UsualHead(RayHead):
    """On the usual ports, which the pictures show."""

    def __init__(self) -> None:
        super().__init__()
        self._ports |= _PORTS


def main() -> None:
    """Record all of them."""
    FOLDER.mkdir(exist_ok=True)
    head = _UsualHead()
    try:
        _save("wait", wait(head.client_address, head.start), "waits until the head is back")
        _save("doctor", doctor(head.gcs_address), "names the cause: Ray Client at the GCS's port")
    finally:
        head.stop()
    with tempfile.TemporaryDirectory() as folder:
        _save("migrate", migrate(Path(folder)), "shows what it would rewrite")


def _save(name: str, scene: Scene, what: str) -> None:
    title = f"seedcore-ray {name} {what}"
    (FOLDER / f"{name}.svg").write_text(terminal.svg(title, scene.told(), _COLUMNS))


if __name__ == "__main__":
    main()
