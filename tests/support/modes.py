"""How a program connects: most of what is tested here is so natively and with a Ray Client."""

from __future__ import annotations

import pytest

MOSTLY_NATIVE = ("native", pytest.param("client", marks=pytest.mark.soak))
"""Both; a client's connect takes its time, so that what is alike is left to the soak."""
