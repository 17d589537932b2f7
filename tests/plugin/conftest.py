"""Host suites: small projects that pytest runs in a process of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

Play = Callable[..., pytest.RunResult]

_DOCUMENT = Path(__file__).parents[2] / "docs/testing.md"


@pytest.fixture
def examples() -> list[str]:
    """Those of the document: for the fixtures, and for a head with options."""
    return re.findall(r"```python\n(.*?)```", _DOCUMENT.read_text(), flags=re.DOTALL)


@pytest.fixture
def play(fresh_env: pytest.MonkeyPatch, pytester: pytest.Pytester) -> Play:
    """`play(*arguments)` runs what was written with `pytester`, in a clean environment."""

    def run(*arguments: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess(
            "--strict-markers", "-p", "no:cacheprovider", *arguments
        )

    return run
