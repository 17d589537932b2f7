"""Ends pending awaits of object refs after Ray was released.

``await ref`` waits for a ``concurrent.futures.Future`` that Ray completes with the object. A native
driver that is shut down drops it (measured, 2.60), so the coroutine would stay pending for ever.
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
    """Raise ``lost`` in every pending await of an object ref in this process.

    Call it after ``ray.shutdown()`` only: Ray must not complete them any more.

    Returns:
        How many there were.
    """
    futures = sys.modules.get("concurrent.futures")
    if futures is None:
        return 0
    ended = 0
    # Ray keeps no list of them, but stores the ref in each. The referrers of the class include its
    # instances. This takes 25 ms for 70,000 objects, once for each lost cluster.
    for future in gc.get_referrers(futures.Future):
        if type(future) is not futures.Future or not hasattr(future, "object_ref"):
            continue
        with suppress(futures.InvalidStateError):
            future.set_exception(copy.copy(lost))
            ended += 1
    return ended
