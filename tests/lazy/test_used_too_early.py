"""A lazy value without a connection, and a constructor that asks for one."""

from __future__ import annotations

import pickle

import pytest

import seedcore_ray
from seedcore_ray import RayConnectionError, RayNotReadyError
from seedcore_ray._core import shutdown_ray
from seedcore_ray.testing import RayHead
from tests.support.scenario import play


@pytest.fixture(autouse=True)
def nobody_has_asked() -> None:
    """Whatever another test has left in this process."""
    shutdown_ray()


class Manager:
    """Never made here."""

    def __init__(self) -> None:
        raise AssertionError("made without a connection")


USES = {
    "attribute": lambda manager: manager.actor,
    "has an attribute": lambda manager: hasattr(manager, "actor"),
    "set an attribute": lambda manager: setattr(manager, "actor", 1),
    "call": lambda manager: manager(),
    "item": lambda manager: manager["actor"],
    "length": len,
    "truth": bool,
    "iteration": iter,
    "get": lambda manager: manager.get(),
}


@pytest.mark.parametrize("use", USES)
def test_every_use_names_what_is_not_ready_and_why(use: str) -> None:
    manager = seedcore_ray.lazy(Manager)
    with pytest.raises(RayNotReadyError) as raised:
        USES[use](manager)
    error = raised.value
    assert isinstance(error, RayConnectionError) and isinstance(error, ConnectionError)
    assert error.name == f"{__name__}.Manager"
    assert error.kind == "not_connected"
    assert str(error).startswith(f"{error.name} is not ready: not connected to Ray")
    assert "ensure_ray_initialized()" in error.hint


def test_the_error_can_be_pickled() -> None:
    with pytest.raises(RayNotReadyError) as raised:
        seedcore_ray.lazy(Manager, "the manager").get()
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (type(copy), str(copy), vars(copy)) == (
        RayNotReadyError,
        str(raised.value),
        vars(raised.value),
    )
    assert copy.name == "the manager"


def test_require_ray_names_who_asked() -> None:
    with pytest.raises(RayNotReadyError, match=r"^Manager is not ready: not connected") as raised:
        seedcore_ray.require_ray("Manager")
    assert raised.value.name == "Manager"
    with pytest.raises(RayNotReadyError, match=r"^not connected to Ray") as raised:
        seedcore_ray.require_ray()
    assert raised.value.name is None


def test_what_cannot_be_called_is_refused_where_it_is_declared() -> None:
    with pytest.raises(TypeError, match=r"factory must be callable.*lazy\(Manager\)"):
        seedcore_ray.lazy(object())  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="on_close must be callable"):
        seedcore_ray.lazy(Manager, on_close="no")  # type: ignore[call-overload]


def test_the_reason_is_the_state_of_the_connection_and_a_use_changes_nothing(
    ray_head: RayHead,
) -> None:
    told = play(
        """
        from seedcore_ray import RayNotReadyError, lazy, require_ray
        made = []
        manager = lazy(lambda: made.append(1) or "value", "manager")
        def why():
            reasons = []
            for use in (manager.get, lambda: manager.upper, lambda: require_ray("manager")):
                try:
                    use()
                except RayNotReadyError as error:
                    reasons.append([error.kind, error.name, str(error)])
                else:
                    reasons.append(None)
            assert reasons.count(reasons[0]) == 3, reasons
            return reasons[0]
        inits = []
        never = [why(), "ray" in sys.modules]
        import ray
        inits = count_inits()
        imported = why()
        refused = [ensure_ray_initialized("127.0.0.1:1", connect_timeout_s=0), why()]
        silent = threading.Thread(target=ensure_ray_initialized, args=(sys.argv[1],))
        gate, real = threading.Event(), ray.init
        ray.init = lambda *a, **k: (gate.wait(20), real(*a, **k))[1]
        shutdown_ray()  # forgets the failure
        silent.start()
        while held()["state"] != "connecting":
            time.sleep(0.01)
        connecting = why()
        gate.set()
        silent.join()
        connected = [why(), manager.upper(), len(made)]
        shutdown_ray()
        down = why()
        ensure_ray_initialized(sys.argv[1])
        ray.shutdown()
        behind = why()
        report(never=never, imported=imported, refused=refused, connecting=connecting,
               connected=connected, down=down, behind=behind, inits=len(inits), made=len(made))
        """,
        ray_head.gcs_address,
    )
    assert told["never"][0][:2] == ["not_connected", "manager"] and told["never"][1] is False
    assert "nobody has called ensure_ray_initialized()" in told["never"][0][2]
    assert told["imported"] == told["never"][0]
    ok, (kind, _, text) = told["refused"]
    assert (ok, kind) == (False, "refused") and "127.0.0.1:1" in text
    assert "still under way" in told["connecting"][2]
    assert told["connected"] == [None, "VALUE", 1]
    for gone in ("down", "behind"):
        assert told[gone][0] == "not_connected" and "any more" in told[gone][2]
    assert told["inits"] == 2 and told["made"] == 1
