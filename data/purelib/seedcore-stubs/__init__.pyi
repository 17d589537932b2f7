"""What the host's own package has besides: a checker must find it where there is no host, too."""

from typing import Any

def __getattr__(name: str) -> Any: ...
