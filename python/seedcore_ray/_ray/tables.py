"""Nodes and resources as Ray's own functions return them, read over our own channel.

Ray's functions end in three methods of ``GlobalState``: those are given here. The rows come as they
are from the GCS and are decoded with the protobuf classes of the Ray that is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from seedcore_ray._core import Guard

    _Table = Literal["total_resources", "available_resources"]

# What Ray's node table has, from the fields of ``GcsNodeInfo``.
_FIELDS: dict[str, Callable[[Any], Any]] = {
    "NodeID": lambda node: node.node_id.hex(),
    "Alive": lambda node: _is_alive(node),
    "NodeManagerAddress": lambda node: node.node_manager_address,
    "NodeManagerHostname": lambda node: node.node_manager_hostname,
    "NodeManagerPort": lambda node: node.node_manager_port,
    "ObjectManagerPort": lambda node: node.object_manager_port,
    "ObjectStoreSocketName": lambda node: node.object_store_socket_name,
    "RayletSocketName": lambda node: node.raylet_socket_name,
    "MetricsExportPort": lambda node: node.metrics_export_port,
    "MetricsAgentPort": lambda node: node.metrics_agent_port,
    "DashboardAgentListenPort": lambda node: node.dashboard_agent_listen_port,
    "NodeName": lambda node: node.node_name,
    "RuntimeEnvAgentPort": lambda node: node.runtime_env_agent_port,
    "DeathReason": lambda node: node.death_info.reason,
    "DeathReasonMessage": lambda node: node.death_info.reason_message,
    "alive": lambda node: _is_alive(node),
    "Resources": lambda node: dict(node.resources_total) if _is_alive(node) else {},
    "Labels": lambda node: dict(node.labels),
}


def answered(state: Any, guard: Guard) -> dict[str, Callable[[], Any]]:
    """The methods of ``state``, a ``GlobalState``, that need no Ray to answer.

    Raises:
        AttributeError: Ray's messages have not the fields that are known.
    """
    from ray.core.generated import gcs_pb2

    kinds: Any = gcs_pb2
    total, available = kinds.TotalResources, kinds.AvailableResources
    for message, field in ((total, "resources_total"), (available, "resources_available")):
        getattr(message(), field)
    return {
        "node_table": _Nodes(state, guard, kinds.GcsNodeInfo),
        "total_resources_per_node": _per_node(state, guard, "total_resources", total),
        "available_resources_per_node": _per_node(state, guard, "available_resources", available),
    }


def _is_alive(node: Any) -> bool:
    return bool(node.state == 0)


def _per_node(state: Any, guard: Guard, table: _Table, message: Any) -> Callable[[], Any]:
    field = table.removesuffix("_resources")
    by_ray = getattr(type(state), f"{field}_resources_per_node")

    def resources_per_node() -> Any:
        rows = guard.rows(table)
        if rows is None:  # the connection is not held any more: Ray says what it says then
            return by_ray(state)
        nodes = map(message.FromString, rows)
        return {node.node_id.hex(): dict(getattr(node, f"resources_{field}")) for node in nodes}

    return resources_per_node


class _Nodes:
    """``GlobalState.node_table``. Ray answers once, so that its keys are known, and their order."""

    def __init__(self, state: Any, guard: Guard, message: Any) -> None:
        self._state = state
        self._guard = guard
        self._message = message
        self._keys: list[str] = []

    def __call__(self) -> list[dict[str, Any]]:
        rows = self._guard.rows("nodes") if self._keys else None
        if rows is not None:
            nodes = map(self._message.FromString, rows)
            return [{key: _FIELDS[key](node) for key in self._keys} for node in nodes]
        # Ray's own check, which this passes, looks at the GCS first.
        table: list[dict[str, Any]] = type(self._state).node_table(self._state)
        if table and set(table[0]) <= set(_FIELDS):
            self._keys = list(table[0])
        return table
