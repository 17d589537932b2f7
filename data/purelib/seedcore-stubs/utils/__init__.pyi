"""As that of ``seedcore``."""

from typing import Any

from seedcore.utils import ray_connector as ray_connector
from seedcore.utils import ray_utils as ray_utils

def __getattr__(name: str) -> Any: ...
