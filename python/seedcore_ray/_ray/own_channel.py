"""Questions over the channel that Ray Client itself has opened.

With ``_credentials``, which nobody but gRPC can read, a channel of our own cannot be had. The stub
of Ray's channel, ``worker.server``, and the headers of its calls, ``worker.metadata``, are the same
from 2.33 to 2.60; while Ray connects again the stub is another one, or none.
"""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from seedcore_ray._ray import client_server

if TYPE_CHECKING:
    from collections.abc import Callable


def look(
    worker: Any, timeout_s: float, gcs_timeout_s: float, tell: Callable[[str, str], None]
) -> None:
    """Ask whether the server knows our session, and whether the GCS behind it answers.

    Args:
        worker: Ray's worker of that client; None for the one that ``ray.init`` has made.
        timeout_s: for the answer of the server, in seconds.
        gcs_timeout_s: for that of the GCS. Both are asked at once.
        tell: called once, here or on a thread of gRPC's: with ``session``, ``no_gcs``,
            ``no_session``, or an empty string, and why that is.
    """
    worker = worker or client_server.default_worker()
    server = getattr(worker, "server", None)
    if server is None:
        tell("", "Ray is connecting again")
        return
    _Look(worker, server, (timeout_s, gcs_timeout_s), tell)


def state(timeout_s: float) -> tuple[int, dict[str, float], dict[str, float], str, str]:
    """Number of nodes, total and available resources, node id in hex, and namespace.

    Raises:
        ConnectionError: a call failed, or took longer than ``timeout_s``.
        AttributeError: Ray has no channel now.
    """
    import grpc
    from ray.core.generated import ray_client_pb2

    kinds: Any = ray_client_pb2.ClusterInfoType
    worker = client_server.default_worker()

    def ask(kind: Any) -> Any:
        request = ray_client_pb2.ClusterInfoRequest(type=kind)
        try:
            return worker.server.ClusterInfo(request, timeout=timeout_s, metadata=worker.metadata)
        except grpc.RpcError as error:
            # Without the details: a gateway may echo a header, which may be a secret.
            raise ConnectionError(error.code().name) from None

    nodes = json.loads(ask(kinds.NODES).json)
    total = dict(ask(kinds.CLUSTER_RESOURCES).resource_table.table)
    available = dict(ask(kinds.AVAILABLE_RESOURCES).resource_table.table)
    context = ask(kinds.RUNTIME_CONTEXT).runtime_context
    alive = sum(1 for node in nodes if node["Alive"])
    return alive, total, available, context.node_id.hex(), context.namespace


class _Look:
    """Two calls under way; tells when both have ended, or the one that counts has failed."""

    def __init__(
        self,
        worker: Any,
        server: Any,
        timeouts_s: tuple[float, float],
        tell: Callable[[str, str], None],
    ) -> None:
        from ray.core.generated import ray_client_pb2

        kind = ray_client_pb2.ClusterInfoType.IS_INITIALIZED
        is_known = ray_client_pb2.ClusterInfoRequest(type=kind)
        # The server has to ask the GCS for this one.
        exists = ray_client_pb2.KVExistsRequest(key=b"CLUSTER_METADATA")
        self._tell = tell
        self._left = 2
        self._lock = threading.Lock()
        metadata = worker.metadata
        timeout_s, gcs_timeout_s = timeouts_s
        self._known = server.ClusterInfo.future(is_known, timeout=timeout_s, metadata=metadata)
        self._exists = server.KVExists.future(exists, timeout=gcs_timeout_s, metadata=metadata)
        for call in (self._known, self._exists):
            call.add_done_callback(self._ended)

    def _ended(self, _: Any) -> None:
        with self._lock:
            self._left -= 1
            if self._left:
                return
        self._tell(*self._answer())

    def _answer(self) -> tuple[str, str]:
        import grpc

        codes = grpc.StatusCode
        code = self._known.code()
        if code is codes.NOT_FOUND:
            return "no_session", ""
        if code is not codes.OK:
            # Without the details, as in ``state``.
            return "", str(code.name)
        if self._known.result().json.strip() != "true":
            return "no_session", ""
        # A Ray without the second call says nothing about its GCS.
        if self._exists.code() in (codes.OK, codes.UNIMPLEMENTED):
            return "session", ""
        return "no_gcs", ""
