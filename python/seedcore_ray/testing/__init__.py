"""A private Ray head for tests, demos and benchmarks.

    with RayHead() as head:
        ray.init(head.client_address)

Nothing of it is shared with another Ray on the machine, and nothing is left when it stops.
Needs ``ray`` to be installed, never imports it.
"""

from seedcore_ray.testing.head import CertFiles, HeadError, RayHead
from seedcore_ray.testing.ports import accepts, free_ports

__all__ = ["CertFiles", "HeadError", "RayHead", "accepts", "free_ports"]
