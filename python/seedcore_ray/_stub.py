"""A stand-in for ``ray`` that a test suite put into ``sys.modules``.

There is no cluster to look at and no state of ours to keep: the stand-in is asked for everything,
each time. What it does not have is never an error. When the real Ray is back in ``sys.modules``,
our connection is what it was.
"""

from __future__ import annotations

from typing import Any


def ensure(
    fake: Any,
    address: str,
    namespace: str | None,
    force: bool,
    init_kwargs: dict[str, object] | None,
) -> str | None:
    """Connect the stand-in. None when it says so, else its own words."""
    if available(fake):
        if not force:
            return None
        shutdown(fake)
    init = getattr(fake, "init", None)
    if init is None:
        return "it has no init()"
    arguments = {"ignore_reinit_error": True, **(init_kwargs or {})}
    try:
        init(address=address, namespace=namespace, **arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def available(fake: Any) -> bool:
    """Whether the stand-in says that it is connected."""
    is_initialized = getattr(fake, "is_initialized", None)
    try:
        return bool(is_initialized()) if is_initialized is not None else False
    except Exception:
        return False


def shutdown(fake: Any) -> None:
    """Disconnect the stand-in, as far as it can be."""
    if (function := getattr(fake, "shutdown", None)) is not None:
        try:
            function()
        except Exception:
            return
