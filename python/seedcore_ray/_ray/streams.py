"""Lets ``ray.init`` connect where ``sys.stderr`` is no file.

A native ``ray.init`` calls ``faulthandler.enable()``, which asks ``sys.stderr`` for its descriptor.
Ray goes without where that raises ``io.UnsupportedOperation`` (``StringIO``). Whatever else is
raised ends ``ray.init``: ``AttributeError`` of a stand-in that only writes to a log (Celery,
Airflow), ``RuntimeError`` of ``None`` (``pythonw``, daemons) or of a number that is no descriptor
(measured, 2.33, 2.44 and 2.60).
"""

from __future__ import annotations

import sys
from contextlib import contextmanager, suppress

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


@contextmanager
def need_no_file() -> Iterator[None]:
    """Let Ray go without ``faulthandler`` wherever that cannot be enabled.

    The streams stay as they are, for all threads: only the name by which Ray's module knows
    ``faulthandler`` is another one meanwhile.
    """
    # Not by an import: a fake ray has no such module, and is not made to load it.
    worker: Any = sys.modules.get("ray._private.worker")
    real = getattr(worker, "faulthandler", None)
    if real is None:
        yield
        return
    worker.faulthandler = stand_in = _Lenient(real)
    try:
        yield
    finally:
        if worker.faulthandler is stand_in:
            worker.faulthandler = real


class _Lenient:
    """``faulthandler``, except that ``enable`` does nothing where it cannot work."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def enable(self, *args: Any, **kwargs: Any) -> None:
        """Enable it if ``sys.stderr`` has a descriptor."""
        with suppress(Exception):
            self._real.enable(*args, **kwargs)
