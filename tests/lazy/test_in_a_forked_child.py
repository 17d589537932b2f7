"""Children of ``os.fork``: the parent's values are not theirs, nor to be closed by them."""

from __future__ import annotations

from seedcore_ray.testing import RayHead
from tests.support.scenario import play

# A factory that is at work until the parent has had its child.
_HELD_UP = """
parent, making, go_on = os.getpid(), threading.Event(), threading.Event()
def held_up():
    if os.getpid() == parent:
        making.set()
        assert go_on.wait(60)
    return "made"
"""


def test_a_child_starts_unmade_and_closes_nothing(ray_head: RayHead) -> None:
    told = play(
        _HELD_UP
        + """
import ray, types
from seedcore_ray import RayNotReadyError, lazy
closed = []
value = lazy(os.getpid, "value", on_close=closed.append)
other = lazy(held_up)
def why():
    try:
        value.get()
    except RayNotReadyError as error:
        return [error.kind, str(error), closed, value.reset(), closed]
ensure_ray_initialized()
mine = value.get()
maker = threading.Thread(target=other.get)
maker.start()
making.wait()
child = told_by_child(why)
go_on.set()
maker.join()
shutdown_ray()
# The child of a process that was connected before: Ray itself would not come up in it.
def own():
    sys.modules["ray"] = types.SimpleNamespace(is_initialized=lambda: True)
    return [value.get() == os.getpid(), other.get(), closed]
report(child=child, own=told_by_child(own), parent=[value.reset(), closed == [mine]])
""",
        RAY_ADDRESS=ray_head.gcs_address,
    )
    kind, text, *rest = told["child"]
    assert kind == "forked" and "forked from one" in text and rest == [[], None, []]
    assert told["own"] == [True, "made", []]
    assert told["parent"] == [None, True]


def test_a_child_of_a_factory_waits_for_nobody() -> None:
    told = play(
        _HELD_UP
        + """
import types
from seedcore_ray import lazy
sys.modules["ray"] = types.SimpleNamespace(is_initialized=lambda: True)
children = []
def make():
    if not children:
        children.append(told_by_child(lambda: other.get()))
    return "value"
value, other = lazy(make), lazy(lambda: "other")
slow = lazy(held_up)
maker = threading.Thread(target=slow.get)
maker.start()
making.wait()
theirs = told_by_child(slow.get)
go_on.set()
maker.join()
report(value=value.get(), children=children, theirs=theirs)
"""
    )
    assert told["value"] == "value" and told["children"] == ["other"]
    assert told["theirs"] == "made"


def test_a_child_leaves_through_the_factory_of_its_parent() -> None:
    told = play(
        """
import types
from seedcore_ray import lazy
sys.modules["ray"] = types.SimpleNamespace(is_initialized=lambda: True)
class Left(Exception):
    pass
children = []
def make():
    if not children:
        children.append(os.fork())
        if children == [0]:
            raise Left
    return "value"
value = lazy(make)
read, write = os.pipe()
try:
    mine = value.get()
except Left:
    os.write(write, value.get().encode())
    os._exit(0)
os.close(write)
report(mine=mine, theirs=os.read(read, 100).decode(), ended=os.waitpid(children[0], 0)[1])
"""
    )
    assert told == {"mine": "value", "theirs": "value", "ended": 0}
