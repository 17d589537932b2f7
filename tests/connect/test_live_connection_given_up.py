"""Asked for something else than what is held: what is kept, what is changed, what is said."""

from __future__ import annotations

from seedcore_ray.testing import RayHead
from tests.support import SOON_S, closed_port
from tests.support.scenario import play


def test_another_target_is_warned_of_once_and_force_reinit_changes_it(ray_head: RayHead) -> None:
    told = play(
        """
        import ray
        native, client, dead = sys.argv[1:]
        ensure_ray_initialized(native, "first")
        first = held()["generation"]
        calls = [ensure_ray_initialized(*pair) for pair in [
            (native, "second"), (client, "first"), (native, "second"), (client, "first"),
            (dead,), (native, "first"), (None,), ("auto", "first"), (client, "second")]]
        report(calls=calls, warnings=logged("WARNING"), kept=[held()["generation"] == first,
               held()["address"], namespace()])
        forced, seconds = timed(ensure_ray_initialized, dead, force_reinit=True,
                                connect_timeout_s=0)
        report(forced_dead=forced, dead_seconds=seconds, dead_error=error(),
               still=[held()["state"], held()["address"], ray.get(ray.remote(lambda: 42).remote())])
        report(forced=ensure_ray_initialized(client, "second", force_reinit=True),
               now=[held()["mode"], namespace(), ray.get(ray.remote(lambda: 42).remote())],
               no_error=error(), generation=held()["generation"] - first)
        report(same=ensure_ray_initialized(client, "second", force_reinit=True),
               same_generation=held()["generation"] - first)
        """,
        ray_head.gcs_address,
        ray_head.client_address,
        f"127.0.0.1:{closed_port()}",
        RAY_TMPDIR=str(ray_head.directory),
    )
    assert told["calls"] == [True] * 9
    # (native, second), (client, first), (dead), (auto, first), (client, second)
    assert len(told["warnings"]) == 5, told["warnings"]
    assert all("force_reinit=True" in line for line in told["warnings"])
    assert told["kept"] == [True, ray_head.gcs_address, "first"]
    assert told["forced_dead"] is False and told["dead_seconds"] < SOON_S
    assert told["dead_error"]["kind"] == "refused"
    assert told["still"] == ["connected", ray_head.gcs_address, 42]
    assert told["forced"] and told["now"] == ["client", "second", 42]
    assert told["no_error"] is None and told["generation"] == 1
    assert told["same"] and told["same_generation"] == 2


def test_shutdown_is_idempotent_and_safe_without_ray() -> None:
    told = play(
        """
        shutdown_ray()
        shutdown_ray()
        report(imported="ray" in sys.modules, threads=threading.active_count(), said=len(records))
        """
    )
    assert told == {"imported": False, "threads": 1, "said": 0}
