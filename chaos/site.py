"""Several machines: a head, two worker nodes, a pod without Ray, and the network between them."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from chaos.cast import ANSWERS_S, Cast
from chaos.names import NameServer, use_name_server
from chaos.nodes import CLIENT_PORT, FAR, GCS_PORT, Gcs, Node, Redis
from chaos.pods import Lan, Pod, run
from chaos.services import Service
from chaos.wire import Carrying, Wire

_NAME = "ray-head.chaos"
"""All of them know the head by it."""
_NATIVE_ADDRESS = f"{_NAME}:{GCS_PORT}"


class Site(Cast):
    """Native drivers run beside the first worker node, their actors on the second one.

    The clients run in a pod without a raylet. ``redis``: the head keeps its state in a Redis.
    """

    def __init__(self, services: Sequence[Service], python: str, redis: bool = False) -> None:
        super().__init__(services, python)
        self.names = NameServer()
        self._with_redis = redis
        self._stack = ExitStack()
        self._wires: list[Wire] = []

    def _set_up(self) -> None:
        # Short: Ray puts Unix sockets below. A file system of its own ends with our namespaces.
        self._directory = Path(tempfile.mkdtemp(prefix="srn-", dir="/tmp"))
        self._stack.callback(shutil.rmtree, self._directory, ignore_errors=True)
        run("mount", "-t", "tmpfs", "tmpfs", str(self._directory))
        self._stack.callback(run, "umount", "--lazy", str(self._directory))
        self._lan = self._stack.enter_context(Lan())
        use_name_server(self._directory)
        self._stack.callback(self.names.stop)
        self.names.start()
        self._env_of_head = self._redis_env() if self._with_redis else {}
        self._clients = self._lan.pod("clients", "10.77.0.21")
        self._head = self._node(self._lan.pod("head", "10.77.0.1"), None)
        self._point_at(self._head)
        self._head.start()
        workers = (("driver", "10.77.0.11", ""), ("far", "10.77.0.12", FAR))
        self._workers = [
            self._node(self._lan.pod(name, ip), _NATIVE_ADDRESS, resource)
            for name, ip, resource in workers
        ]
        for worker in self._workers:
            worker.start()
            worker.keep_up()

    def _take_down(self) -> None:
        self.mend()
        self._stack.close()

    def _node(self, pod: Pod, joins: str | None, resource: str = "") -> Node:
        env = self._env_of_head if joins is None else {}
        node = Node(pod, self._directory, self._python, joins, resource, env)
        self._stack.callback(node.close)
        return node

    def _redis_env(self) -> dict[str, str]:
        redis = Redis(self._lan.pod("redis", "10.77.0.5"), self._directory)
        self._stack.callback(redis.close)
        return redis.env()

    def _point_at(self, head: Node) -> None:
        self.names.records[_NAME] = head.pod.ip

    def _address_of(self, service: Service) -> str:
        return _NATIVE_ADDRESS if service.mode == "native" else f"ray://{_NAME}:{CLIENT_PORT}"

    def _place_of(self, service: Service) -> Sequence[str]:
        return (self._workers[0].pod if service.mode == "native" else self._clients).prefix

    # -- what can happen

    def weaken(self, to_head: Carrying, from_head: Carrying) -> None:
        """From now on the services' machines and the head hear each other like this."""
        self.moments["lost"] = time.monotonic()
        for pod in (self._workers[0].pod, self._clients):
            self._wires.append(Wire(pod, self._head.pod, to_head, from_head))

    def mend(self) -> None:
        """The network is as it was."""
        while self._wires:
            self._wires.pop().close()

    def gcs(self) -> Gcs:
        """The head's GCS, as it runs now."""
        gcs = Gcs(self._head)
        self._stack.callback(gcs.close)
        return gcs

    def stop_head(self) -> None:
        """SIGKILL all of it: this is what the services have to ride through."""
        self.happens("lost", self._head.shut)

    def restart_head(self) -> None:
        """A new cluster in the same pod; notes when it answers."""
        self._start_head()

    def replace_head(self) -> None:
        """A new cluster in a new pod, and its address under the old name once it is up."""
        self._head = self._node(self._lan.pod("head-2", "10.77.0.2"), None)
        self._start_head()
        self.all_is_back()
        self._point_at(self._head)

    def _start_head(self) -> None:
        ip = self._head.pod.ip
        watchers = [
            threading.Thread(target=self.note_answer, args=(f"back {mode}", ip, port), daemon=True)
            for mode, port in (("native", GCS_PORT), ("client", CLIENT_PORT))
        ]
        for watcher in watchers:
            watcher.start()
        self._head.start()
        for watcher in watchers:
            watcher.join(ANSWERS_S)
