"""Results that are kept in the repository: JSON with one row a line, so that a new run can be read
as a diff."""

from __future__ import annotations

import json
from typing import Any


def dumps(value: Any, depth: int = 0) -> str:
    """``value`` as JSON in which whatever holds no list of objects takes one line."""
    if not _holds_rows(value):
        return json.dumps(value)
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {dumps(item, depth + 1)}" for key, item in value.items()]
    else:
        parts = [dumps(item, depth + 1) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    lines = ",\n".join(" " * (depth + 1) + part for part in parts)
    return f"{opening}\n{lines}\n{' ' * depth}{closing}"


def _holds_rows(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_rows(item) for item in value.values())
    return isinstance(value, list) and any(isinstance(item, dict) for item in value)
