"""Host suites: small projects that pytest runs in a process of its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Play = Callable[..., pytest.RunResult]


@pytest.fixture
def play(fresh_env: pytest.MonkeyPatch, pytester: pytest.Pytester) -> Play:
    """`play(*arguments)` runs what was written with `pytester`, in a clean environment."""

    def run(*arguments: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess(
            "--strict-markers", "-p", "no:cacheprovider", *arguments
        )

    return run
