"""``seedcore.utils.ray_utils``: one connection to Ray, and the URLs of Ray Serve.

``SERVE_GATEWAY``, ``ML``, ``COG`` and ``ORG`` are URLs, worked out from the environment (the
``ENV_*`` names below) when one of them is first read, because that may ask DNS (for at most 0.4
seconds per name). They are kept until ``refresh_gateway_and_paths()`` or a reload of this module.
``from ... import ML`` binds the value of that moment.

Importing this module imports no ``ray``, asks no DNS and starts no thread. Reloading it keeps the
connection, which is the process's and not the module's.
"""

from seedcore_ray import _core
from seedcore_ray._core import cluster_info as get_ray_cluster_info
from seedcore_ray._core import ensure_ray_initialized, is_ray_available, shutdown_ray
from seedcore_ray._facades.functions import test_ray_connection
from seedcore_ray._facades.node_ip import get_ray_node_ip

__all__ = [
    "COG",
    "DEFAULT_API_NS_ENV",
    "DEFAULT_RAY_PORT",
    "DEFAULT_SERVE_PORT",
    "ENV_COG_BASE",
    "ENV_ORG_BASE",
    "ENV_POD_NAMESPACE",
    "ENV_RAY_ADDRESS",
    "ENV_SERVE_BASE",
    "ENV_SERVE_GATEWAY",
    "ENV_SERVE_SERVICE",
    "ML",
    "ORG",
    "SERVE_GATEWAY",
    "ensure_ray_initialized",
    "get_ray_cluster_info",
    "get_ray_node_ip",
    "get_serve_urls",
    "is_ray_available",
    "refresh_gateway_and_paths",
    "shutdown_ray",
    "test_ray_connection",
]

DEFAULT_SERVE_PORT = 8000
"""Port of Serve's HTTP proxy where the environment names none."""
DEFAULT_RAY_PORT = 10001
"""Port of the Ray Client server: what ``ray://host`` means."""

ENV_SERVE_GATEWAY = "SERVE_GATEWAY"
"""The gateway itself; with it nothing is guessed."""
ENV_RAY_ADDRESS = "RAY_ADDRESS"
"""Ray's own variable; its host leads to the Serve service beside it."""
ENV_SERVE_BASE = "SERVE_BASE_PATH"
"""Path of the ML application, ``/ml`` if unset."""
ENV_COG_BASE = "COG_BASE_PATH"
"""Path of the cognitive application, ``/cognitive`` if unset."""
ENV_ORG_BASE = "ORG_BASE_PATH"
"""Path of the organism application, ``/organism`` if unset."""
ENV_SERVE_SERVICE = "SERVE_SERVICE"
"""Flavour of the Kubernetes service: ``stable`` (default) or ``serve``."""
ENV_POD_NAMESPACE = "POD_NAMESPACE"
"""Kubernetes namespace, before ``SEEDCORE_NS``."""
DEFAULT_API_NS_ENV = "SEEDCORE_NS"
"""Kubernetes namespace where ``POD_NAMESPACE`` is unset, and Ray's namespace."""

SERVE_GATEWAY: str
ML: str
COG: str
ORG: str

_URLS = ("SERVE_GATEWAY", "ML", "COG", "ORG")

# A reload runs in the old namespace, where the old values would hide __getattr__.
for _name in _URLS:
    globals().pop(_name, None)
del _name


def get_serve_urls(
    base_gateway: str | None = None,
    ml_base: str | None = None,
    cog_base: str | None = None,
) -> dict[str, str]:
    """The URLs that clients of the Serve applications call.

    Args:
        base_gateway: the gateway, in any form ``SERVE_GATEWAY`` takes (a bare host gets port 8000);
            this module's ``SERVE_GATEWAY`` when left out or blank.
        ml_base: path of the ML application; ``SERVE_BASE_PATH``, else ``/ml``, when left out.
        cog_base: path of the cognitive application; ``COG_BASE_PATH``, else ``/cognitive``, when
            left out.

    Returns:
        The keys ``gateway``, ``ml_root``, ``ml_health``, ``ml_salience``, ``cog_root`` and
        ``cog_health``. The two roots end in a slash.

    None of them is called; DNS is asked only if ``SERVE_GATEWAY`` was never computed before.
    """
    gateway = base_gateway if base_gateway and base_gateway.strip() else _url("SERVE_GATEWAY")
    return _core.serve_urls(gateway, ml_base, cog_base)


def refresh_gateway_and_paths() -> dict[str, str]:
    """Compute ``SERVE_GATEWAY``, ``ML``, ``COG`` and ``ORG`` anew from the environment.

    Returns:
        What ``get_serve_urls()`` returns from now on.

    It may ask DNS, for at most 0.4 seconds per name. Values that other modules took with ``from
    ... import`` stay as they were.
    """
    globals().update(_core.gateway_urls())
    return get_serve_urls()


def _url(name: str) -> str:
    """One of the four URLs; the first access computes them all."""
    values = globals()
    if name not in values:
        for key, value in _core.gateway_urls().items():
            values.setdefault(key, value)  # a URL that a test has patched stays patched
    url: str = values[name]
    return url


def __getattr__(name: str) -> str:
    if name in _URLS:
        return _url(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_URLS})
