"""A cluster that was there before the tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExistingCluster:
    """What stands in the place of a ``RayHead`` when somebody else runs the cluster."""

    address: str
    """As given: ``auto``, ``host:port`` or ``ray://host[:port]``."""

    def env(self) -> dict[str, str]:
        """Nothing: whoever names the cluster has its credentials in the environment."""
        return {}
