"""What a library of Ray keeps of a connection is not used on the next one."""

from __future__ import annotations

from seedcore_ray.testing import RayHead
from tests.support.scenario import play


def test_serve_looks_its_controller_up_anew(ray_head: RayHead) -> None:
    # In Serve's place, which not every Ray has installed; the names are its own.
    told = play(
        """
        import ray, types
        report(without=ensure_ray_initialized(), imported="ray.serve.context" in sys.modules)
        context = types.ModuleType("ray.serve.context")
        context._global_client, context._INTERNAL_REPLICA_CONTEXT = "a dead one", "this replica"
        sys.modules[context.__name__] = context
        ray.shutdown()
        report(while_down=context._global_client, again=ensure_ray_initialized())
        report(then=context._global_client, replica=context._INTERNAL_REPLICA_CONTEXT)
        context._global_client = "a live one"
        report(still=[ensure_ray_initialized(), context._global_client])
        """,
        RAY_ADDRESS=ray_head.gcs_address,
    )
    assert told["without"] and not told["imported"], "we never import it"
    # Serve without a client and without Ray starts a cluster.
    assert told["while_down"] == "a dead one" and told["again"]
    assert told["then"] is None and told["replica"] == "this replica"
    assert told["still"] == [True, "a live one"]
