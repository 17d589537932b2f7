"""The arguments of ``ray.init``: which cluster, which namespace, and whether that is sure."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

_STARTS_A_CLUSTER = {
    "num_cpus",
    "num_gpus",
    "resources",
    "labels",
    "object_store_memory",
    "local_mode",
}
# Ray ignores these when it joins a cluster, so that they matter only where no address is given.
_OF_THE_HEAD = {
    "include_dashboard",
    "dashboard_host",
    "dashboard_port",
    "_temp_dir",
    "_plasma_directory",
    "_redis_password",
    "_node_ip_address",
    "_memory",
    "_metrics_export_port",
    "_system_config",
}
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):\d{1,5}\Z")

Meaning = Callable[[ast.AST], str]


class Arguments:
    """What a call gives, by name; ``address`` may also be the first positional argument."""

    def __init__(self, call: ast.Call, meaning: Meaning) -> None:
        self._meaning = meaning
        self.keywords = {word.arg: word for word in call.keywords if word.arg is not None}
        self.positional = call.args
        self.address = self._value("address") or (call.args[0] if call.args else None)
        self.namespace = self._value("namespace")
        if self.address is not None and self._is_nothing(self.address):
            self.address = None

    def _value(self, name: str) -> ast.expr | None:
        word = self.keywords.get(name)
        return None if word is None else word.value

    @staticmethod
    def _is_nothing(value: ast.expr) -> bool:
        return isinstance(value, ast.Constant) and (
            value.value is None or str(value.value).strip() == ""
        )

    def unreadable(self, call: ast.Call) -> str:
        """Why nothing can be said of the call; empty if something can."""
        if any(isinstance(value, ast.Starred) for value in call.args):
            return "`*args` may hold anything"
        if any(word.arg is None for word in call.keywords):
            return "`**kwargs` may hold an address, a namespace, or what starts a cluster"
        if len(call.args) > 1 or (call.args and "address" in self.keywords):
            return "Ray takes one positional argument, the address"
        again = self._value("ignore_reinit_error")
        if again is not None and not (isinstance(again, ast.Constant) and again.value is True):
            return "`ignore_reinit_error` is not True: the caller may want the error"
        return ""

    def own_cluster(self) -> str:
        """What makes the call start a cluster, or contradicts the address; empty for nothing."""
        if isinstance(self.address, ast.Constant) and self.address.value == "local":
            return '`address="local"` always starts one'
        if self._is_given("local_mode"):
            return "`local_mode` runs everything in this process"
        starts = [name for name in sorted(_STARTS_A_CLUSTER) if self._is_given(name)]
        if starts and self.address is not None:
            return f"Ray refuses `{starts[0]}` beside an address"
        if self.address is None and not starts:
            starts = [name for name in sorted(_OF_THE_HEAD) if name in self.keywords]
        return f"`{starts[0]}` is an argument for a new cluster" if starts else ""

    def _is_given(self, name: str) -> bool:
        """Whether an argument is there and says more than its default."""
        value = self._value(name)
        return value is not None and not (isinstance(value, ast.Constant) and not value.value)

    def foreign_scheme(self) -> str:
        """Why the address is none that ``connect`` takes; empty if it may be one."""
        text = _first_words(self.address)
        if isinstance(self.address, ast.Constant):
            if not isinstance(self.address.value, str):
                return "the address is no text"
            known = text == "auto" or "://" in text or _HOST_AND_PORT.match(text)
            if not known:
                return "the address is none that Ray and `seedcore_ray` take"
        scheme = re.match(r"(\w+)://", text)
        if scheme and scheme[1] != "ray":
            return f"`{scheme[0]}` is for another module's client"
        return ""

    def address_assumption(self) -> str:
        """What has to hold for an address to mean the same; empty if that is sure."""
        if self.address is None or self._is_text(self.address):
            return ""
        return (
            "the address is never None or empty (Ray would start a cluster, `seedcore_ray` uses "
            "RAY_ADDRESS, else the Ray of this machine)"
        )

    def namespace_assumption(self) -> str:
        """The same for the namespace."""
        if self.namespace is None:
            return (
                "the namespace may become SEEDCORE_NS, else RAY_NAMESPACE, else seedcore-dev; "
                "Ray's is anonymous, and named actors are found in their own namespace alone"
            )
        if self._is_nothing(self.namespace):
            return "SEEDCORE_NS and RAY_NAMESPACE are not set, so that None stays anonymous"
        if self._is_text(self.namespace):
            return ""
        return (
            "the namespace is never None or empty (Ray's would be anonymous, `seedcore_ray` uses "
            "SEEDCORE_NS or RAY_NAMESPACE)"
        )

    def _is_text(self, value: ast.expr) -> bool:
        """Whether an expression is certainly a text that is not empty, as far as its author says.

        A variable of the environment that is set but empty counts as their mistake.
        """
        if isinstance(value, ast.Constant):
            return isinstance(value.value, str) and value.value.strip() != ""
        if isinstance(value, ast.JoinedStr):
            return any(map(self._is_text, value.values))
        if isinstance(value, ast.BoolOp) and isinstance(value.op, ast.Or):
            return self._is_text(value.values[-1])
        if isinstance(value, ast.IfExp):
            return self._is_text(value.body) and self._is_text(value.orelse)
        if isinstance(value, ast.Subscript):
            return self._meaning(value.value) == "os.environ"
        if isinstance(value, ast.Call) and len(value.args) == 2 and not value.keywords:
            known = self._meaning(value.func) in ("os.getenv", "os.environ.get")
            return known and self._is_text(value.args[1])
        return False


def _first_words(value: ast.expr | None) -> str:
    """The text that a literal begins with."""
    if isinstance(value, ast.JoinedStr) and value.values:
        value = value.values[0]
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
