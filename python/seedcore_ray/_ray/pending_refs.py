"""Awaits that nothing would ever end: those of object refs whose Ray was released.

``await ref`` waits for a ``concurrent.futures.Future`` that Ray completes when the object is there.
A native driver that is shut down drops it without a word (measured, 2.60), so that the coroutine
would stay where it is for as long as its loop runs.
"""

from __future__ import annotations

import copy
import gc
import sys
from contextlib import suppress

TYPE_CHECKING = False  # typing's own costs more than all of this package
if TYPE_CHECKING:
    from seedcore_ray._errors import RayConnectionError


def end_pending(lost: RayConnectionError) -> int:
    """Have every await of an object ref in this process raise ``lost``.

    Only for after ``ray.shutdown()``: Ray must not complete them any more.

    Returns:
        How many there were.
    """
    futures = sys.modules.get("concurrent.futures")
    if futures is None:
        return 0
    ended = 0
    # Ray keeps no list of them. It marks each with the ref, for which it keeps the ref alive; what
    # refers to the class are its instances. 25 ms for 70,000 objects, once for each lost cluster.
    for future in gc.get_referrers(futures.Future):
        if type(future) is not futures.Future or not hasattr(future, "object_ref"):
            continue
        with suppress(futures.InvalidStateError):
            future.set_exception(copy.copy(lost))
            ended += 1
    return ended
