"""A plain ``ensure_ray_initialized``, as such helpers are usually written.

Not ours and not used by anything but the benchmark: it is what a service has without us. Ray is
imported inside the function, the connection is asked for at every call, each address gets three
attempts.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Any

logger = logging.getLogger(__name__)

_initialized = False
_ATTEMPTS = 3
_DELAY_S = 0.1


def is_ray_available() -> bool:
    """Whether this process is connected, as far as Ray knows."""
    try:
        import ray
        from ray.util.client import ray as client

        if client.is_connected():
            return True
        return bool(ray.is_initialized())
    except Exception:
        return False


def ensure_ray_initialized(
    ray_address: str | None = None,
    ray_namespace: str | None = "seedcore-dev",
    force_reinit: bool = False,
    **init_kwargs: Any,
) -> bool:
    """Connect to Ray unless connected."""
    global _initialized
    if not force_reinit and is_ray_available():
        _initialized = True
        return True
    import ray

    if force_reinit and _initialized:
        ray.shutdown()
        _initialized = False

    address = ray_address or os.getenv("RAY_ADDRESS") or "auto"
    namespace = ray_namespace or os.getenv("SEEDCORE_NS") or os.getenv("RAY_NAMESPACE")
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            ray.init(address=address, namespace=namespace, ignore_reinit_error=True, **init_kwargs)
            _initialized = True
            logger.info("connected to Ray at %s (namespace %s)", address, namespace)
            return True
        except Exception as error:
            logger.warning("attempt %d at %s failed: %s", attempt, address, error)
            time.sleep(_DELAY_S)
    logger.error("could not connect to Ray at %s", address)
    return False
