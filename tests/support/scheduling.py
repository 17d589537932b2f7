"""Which worker of pytest-xdist gets which tests: those of one file, and files that share heads."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

# Each worker that gets one of these starts a head with a token and another one with TLS.
_WITH_CREDENTIALS = frozenset(
    {
        "tests/cli/test_doctor.py",
        "tests/connect/test_cause_not_told.py",
        "tests/faults/test_credentials_refused.py",
        "tests/test_support.py",
    }
)


class ByHeads(LoadFileScheduling):  # type: ignore[misc]  # xdist is without types
    """As ``--dist loadfile``, with the users of heads that want credentials at one worker."""

    def _split_scope(self, nodeid: str) -> str:
        scope = str(super()._split_scope(nodeid))
        return "credentials" if scope in _WITH_CREDENTIALS else scope
