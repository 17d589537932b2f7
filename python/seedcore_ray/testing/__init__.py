"""A private Ray head for tests, demos and benchmarks, and a stand-in for ``ray`` itself.

    with RayHead() as head:
        ray.init(head.client_address)

    with FakeRay() as ray:
        ray.fails("init", ConnectionError("no cluster"))

Nothing of a head is shared with another Ray on the machine, and nothing is left when it stops. It
needs ``ray`` to be installed, never imports it. As pytest fixtures: ``seedcore_ray.pytest_plugin``.
"""

from seedcore_ray.testing.existing import ExistingCluster
from seedcore_ray.testing.fake import FakeRay
from seedcore_ray.testing.head import CertFiles, HeadError, RayHead
from seedcore_ray.testing.ports import accepts, free_ports

__all__ = [
    "CertFiles",
    "ExistingCluster",
    "FakeRay",
    "HeadError",
    "RayHead",
    "accepts",
    "free_ports",
]
