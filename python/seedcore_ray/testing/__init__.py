"""A private Ray head for tests, demos and benchmarks, and a stand-in for ``ray`` itself.

    with RayHead() as head:
        ray.init(head.client_address)

    with FakeRay() as ray:
        ray.fails("init", ConnectionError("no cluster"))

A head shares nothing with another Ray on the machine and leaves nothing when it stops. It needs
``ray`` installed and never imports it. As pytest fixtures: ``seedcore_ray.pytest_plugin``.
"""

from seedcore_ray.testing.fake import FakeRay
from seedcore_ray.testing.head import CertFiles, ExistingCluster, HeadError, RayHead
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
