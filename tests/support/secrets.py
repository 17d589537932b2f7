"""What must never be shown: tokens, keys and passwords, and where one was printed all the same.

Every secret that the tests use is made known with ``secret``. ``Program`` hands over all that it
printed; ``conftest`` fails the run when a secret was in it.
"""

from __future__ import annotations

_SHOWN_AROUND = 60

_secrets: dict[str, str] = {}
leaks: list[str] = []
"""Each place where a secret was printed, with the secret itself taken out."""


def secret(value: str, name: str) -> str:
    """``value``, which from now on nothing may print. ``name`` stands for it in complaints."""
    _secrets[value] = name
    return value


TOKEN = secret("a-token-of-the-test-suite-0123456789", "the head's token")


def key_is_secret(pem: str, name: str) -> None:
    """As ``secret``, for each line of a private key."""
    for line in pem.splitlines():
        if line and not line.startswith("-----"):
            secret(line, name)


def look_through(text: str, where: str) -> None:
    """Note each secret in ``text``."""
    for value, name in _secrets.items():
        at = text.find(value)
        if at >= 0:
            before = text[max(0, at - _SHOWN_AROUND) : at]
            after = text[at + len(value) :][:_SHOWN_AROUND]
            leak = f"{name} printed by {where}: {before!r} *** {after!r}"
            if leak not in leaks:
                leaks.append(leak)
