"""``seedcore.utils.ray_utils``: one connection to Ray, and the URLs of Ray Serve.

Connection
    ``ensure_ray_initialized(ray_address=None, ray_namespace="seedcore-dev", force_reinit=False, *,
    connect_timeout_s=None, **init_kwargs) -> bool``
        Connect this process to Ray once; True when connected, at once when it already is, whoever
        made the connection (Ray workers and Serve replicas are connected by Ray itself). A
        connection problem is logged and gives False; ``TypeError`` and ``ValueError`` are for a
        caller's mistake. Address: argument, else ``RAY_ADDRESS``, else ``"auto"`` (Ray reads
        ``RAY_ADDRESS`` in place of an explicit ``"auto"`` too). Namespace: argument, else
        ``SEEDCORE_NS``, else ``RAY_NAMESPACE``, else ``"seedcore-dev"``; None ends in Ray's
        anonymous namespace. ``connect_timeout_s`` is in seconds, 0 is one try without waiting,
        None is ``SEEDCORE_RAY_CONNECT_TIMEOUT_S``, else 30. ``init_kwargs`` reach ``ray.init``
        unchanged. ``force_reinit`` connects anew, if the target answers.
    ``is_ray_available() -> bool``
        Whether the cluster answers now: one round trip to its control plane, at most
        ``SEEDCORE_RAY_PROBE_TIMEOUT_S`` (2 seconds). ``ray.is_initialized()`` stays True on a dead
        cluster, this does not.
    ``shutdown_ray() -> None``
        Disconnect. Idempotent and never raises, a dead cluster included. Refused, with a warning,
        inside a Ray worker or Serve replica, which it would cut off. In native mode Ray ends
        threads that are blocked in ``ray.get`` with ``SystemExit``.
    ``get_ray_cluster_info() -> dict``
        ``{"status": "available", "cluster_resources": {...}, "available_resources": {...},
        "nodes": int}``, or ``{"status": "not_available"}``, or ``{"status": "error", "error":
        str}``. Never raises, bounded in time.
    ``test_ray_connection() -> bool``
        Whether a trivial Ray task runs from end to end. Never raises, bounded in time. No test of
        pytest's (``__test__`` is False).
    ``get_ray_node_ip() -> str``
        The first that is not a loopback address: Ray's own node address, the host of
        ``RAY_ADDRESS``, the address of the host name, the primary network interface; else
        ``"unknown"``. Sends nothing.

Serve
    ``SERVE_GATEWAY``, ``ML``, ``COG``, ``ORG``
        URLs, from the environment (the ``ENV_*`` names below). They are computed when one of them
        is first read, because that may ask DNS (at most 0.4 seconds a name), and kept until
        ``refresh_gateway_and_paths()`` or a reload of this module. ``from ... import ML`` binds
        the value of that moment.
    ``get_serve_urls()``, ``refresh_gateway_and_paths()``
        below.

Importing this module imports no ``ray``, asks no DNS and starts no thread. Reloading it keeps the
connection, which is the process's and not the module's.
"""

from seedcore_ray import _core
from seedcore_ray._core import ensure_ray_initialized, is_ray_available, shutdown_ray
from seedcore_ray._facades.functions import (
    get_ray_cluster_info,
    get_ray_node_ip,
    test_ray_connection,
)

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

# A reload runs in the old namespace: what it kept would hide __getattr__.
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
            this module's ``SERVE_GATEWAY`` when left out.
        ml_base: path of the ML application; ``SERVE_BASE_PATH``, else ``/ml``, when left out.
        cog_base: path of the cognitive application; ``COG_BASE_PATH``, else ``/cognitive``, when
            left out.

    Returns:
        The keys ``gateway``, ``ml_root``, ``ml_health``, ``ml_salience``, ``cog_root`` and
        ``cog_health``. The two roots end in a slash.

    Nothing is called; DNS is asked only for a gateway that was never computed before.
    """
    gateway = _url("SERVE_GATEWAY") if base_gateway is None else base_gateway
    return _core.serve_urls(gateway, ml_base, cog_base)


def refresh_gateway_and_paths() -> dict[str, str]:
    """Compute ``SERVE_GATEWAY``, ``ML``, ``COG`` and ``ORG`` anew from the environment.

    Returns:
        What ``get_serve_urls()`` says from now on.

    It may ask DNS, at most 0.4 seconds a name. Values that other modules took with ``from ...
    import`` stay as they were.
    """
    globals().update(_core.gateway_urls())
    return get_serve_urls()


def _url(name: str) -> str:
    """One of the four URLs; the first question computes them all."""
    values = globals()
    if name not in values:
        for key, value in _core.gateway_urls().items():
            values.setdefault(key, value)  # one that a test has patched stays patched
    url: str = values[name]
    return url


def __getattr__(name: str) -> str:
    if name in _URLS:
        return _url(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_URLS})
