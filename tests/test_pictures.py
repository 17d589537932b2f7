"""The pictures in ``docs/pictures`` against what the commands say now, on a real head."""

from __future__ import annotations

import re
import socket
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benches import pictures, terminal
from seedcore_ray.testing import RayHead
from tests.support import TcpRelay, closed_port

_PICTURES = sorted(pictures.FOLDER.glob("*.svg"))


def test_doctor(ray_head: RayHead) -> None:
    _is_of(pictures.doctor(ray_head.gcs_address), "doctor")


def test_wait(ray_head: RayHead) -> None:
    port = closed_port()
    opened: list[TcpRelay] = []
    # The head is there, and the way to it opens when it is waited for.
    scene = pictures.wait(
        f"ray://127.0.0.1:{port}",
        lambda: opened.append(TcpRelay(("127.0.0.1", ray_head.client_port), port)),
    )
    try:
        _is_of(scene, "wait")
    finally:
        for relay in opened:
            relay.close()


def test_migrate(tmp_path: Path) -> None:
    _is_of(pictures.migrate(tmp_path), "migrate")


def _is_of(scene: pictures.Scene, name: str) -> None:
    drawn = terminal.words((pictures.FOLDER / f"{name}.svg").read_text())
    told = [terminal.plain(line) for line in terminal.shown(scene.told())]
    assert _words(drawn) == _words(told), "make pictures records it anew"


def _words(lines: list[str]) -> str:
    """Whatever is no number; where a line ends and how far columns are apart depend on those."""
    text = re.sub(r"[\d.]+ m?s\b", "0 s", " ".join(lines))
    return re.sub(r"\d+", "0", re.sub(r"\s+", " ", text)).strip()


@pytest.mark.parametrize("picture", _PICTURES, ids=lambda path: path.name)
def test_a_picture_can_be_shown_anywhere(picture: Path) -> None:
    text = picture.read_text()
    assert len(text) < 60_000
    root = ET.fromstring(text)
    title = root.find("{http://www.w3.org/2000/svg}title")
    assert root.get("role") == "img" and title is not None and title.text
    assert "prefers-color-scheme: dark" in text
    # Nothing of elsewhere, and nothing of the machine where it was made.
    assert re.findall(r"https?://[^\"\s]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"@import|@font-face|<image|<script|/(home|root|tmp|work)/", text)
    assert socket.gethostname() not in text


def test_every_picture_is_shown_and_described() -> None:
    root = pictures.FOLDER.parents[1]
    pages = [root / "README.md", *(root / "docs").glob("*.md")]
    shown = [
        hit for page in pages for hit in re.findall(r"!\[([^]]*)\]\(([^)]*)\)", page.read_text())
    ]
    assert {Path(target).name for _, target in shown} >= {one.name for one in _PICTURES}
    assert all(len(words) > 20 for words, _ in shown)
