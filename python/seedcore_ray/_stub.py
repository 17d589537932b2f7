"""Another party's stand-in for ``ray`` in ``sys.modules``, as test suites of hosts have them.

There is no cluster to look at and no state of ours to keep: the stand-in is asked each time. A
function that it lacks is never an error. When the real Ray is back in ``sys.modules``, our
connection is what it was.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any


def ensure(
    fake: Any,
    address: str,
    namespace: str | None,
    force: bool,
    init_kwargs: dict[str, object] | None,
) -> str | None:
    """Connect the stand-in. None if that worked, else its own words."""
    if available(fake):
        if not force:
            return None
        shutdown(fake)
    if not hasattr(fake, "init"):
        return "it has no init()"
    arguments = {"ignore_reinit_error": True, **(init_kwargs or {})}
    try:
        fake.init(address=address, namespace=namespace, **arguments)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def available(ray: Any) -> bool:
    """Whether ``ray``, or its stand-in, says that it is connected."""
    try:
        return bool(ray.is_initialized())
    except Exception:
        return False


def shutdown(fake: Any) -> None:
    """Disconnect the stand-in, as far as it can be."""
    with suppress(Exception):
        fake.shutdown()
