"""A connection that we did not make, or that somebody took down behind our back."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support.scenario import play


@pytest.fixture(params=["native", "client"])
def address(request: pytest.FixtureRequest, ray_head: RayHead) -> str:
    return ray_head.gcs_address if request.param == "native" else ray_head.client_address


def test_the_services_own_init_is_used_and_ours_can_replace_it(
    address: str, ray_head: RayHead
) -> None:
    told = play(
        """
        import ray
        ray.init(sys.argv[1], namespace="theirs")
        inits = []
        original = ray.init
        ray.init = lambda *a, **k: (inits.append(k), original(*a, **k))[1]
        report(ok=ensure_ray_initialized(), again=ensure_ray_initialized(), inits=len(inits),
               held=held(), found=logged("INFO", "someone else"), available=is_ray_available(),
               info=get_connection_info(), warnings=logged("WARNING"))
        report(named=ensure_ray_initialized(sys.argv[1], "mine"), named_inits=len(inits),
               still=namespace(), named_warnings=logged("WARNING"))
        report(forced=ensure_ray_initialized(sys.argv[1], "mine", force_reinit=True),
               forced_inits=len(inits), now=namespace(), mode=held()["mode"])
        """,
        address,
    )
    assert told["ok"] and told["again"] and told["inits"] == 0
    assert (told["held"]["state"], told["held"]["mode"]) == ("connected", "adopted")
    # Ray puts the node's own address for a loopback one.
    shown = address if address.startswith("ray:") else ray_head.auto_address
    assert told["held"]["address"] == shown and len(told["found"]) == 1
    assert told["available"] and told["info"]["status"] == "connected"
    assert told["info"]["namespace"] == "theirs"
    assert told["warnings"] == []
    assert told["named"] and told["named_inits"] == 0 and told["still"] == "theirs"
    assert len(told["named_warnings"]) == (0 if address.startswith("ray://") else 1)
    assert told["forced"] and told["forced_inits"] == 1 and told["now"] == "mine"
    assert told["mode"] in ("native", "client")


def test_inside_a_task_or_actor_the_workers_connection_is_used_and_never_cut(
    address: str,
) -> None:
    told = play(
        """
        import ray
        ensure_ray_initialized(sys.argv[1])

        def work():
            import logging, ray, seedcore_ray
            from seedcore.utils import ray_connector, ray_utils
            said = []
            class Keep(logging.Handler):
                def emit(self, record):
                    said.append((record.levelname, record.getMessage()))
            logger = logging.getLogger("seedcore_ray")
            keep = Keep()
            logger.addHandler(keep)
            logger.setLevel(logging.INFO)
            result = {
                "ok": ray_utils.ensure_ray_initialized(),
                "available": ray_utils.is_ray_available(),
                "mode": seedcore_ray.connection().mode,
                "forced": ray_utils.ensure_ray_initialized(force_reinit=True),
                "forced_again": ray_utils.ensure_ray_initialized(force_reinit=True),
            }
            ray_connector.connect()
            ray_utils.shutdown_ray()
            ray_utils.shutdown_ray()
            result["still"] = ray.is_initialized()
            result["nested"] = ray.get(ray.remote(lambda: 42).options(num_cpus=0).remote())
            result["warnings"] = [text for level, text in said if level == "WARNING"]
            logger.removeHandler(keep)
            return result

        @ray.remote(num_cpus=0)
        class Actor:
            def work(self):
                return work()
            def lives(self):
                return True

        actor = Actor.remote()
        report(task=ray.get(ray.remote(work).options(num_cpus=0).remote()),
               actor=ray.get(actor.work.remote()), lives=ray.get(actor.lives.remote()))
        """,
        address,
    )
    for each in (told["task"], told["actor"]):
        assert each["ok"] and each["available"] and each["mode"] == "adopted"
        assert each["forced"] and each["forced_again"] and each["still"]
        assert each["nested"] == 42
        assert len([text for text in each["warnings"] if "force_reinit" in text]) == 1
        assert len([text for text in each["warnings"] if "shutdown_ray" in text]) == 1
        assert len(each["warnings"]) == 2
    assert told["lives"]


def test_shut_down_behind_our_back_the_very_next_call_connects_again(address: str) -> None:
    told = play(
        """
        import ray
        rounds = []
        ensure_ray_initialized()
        for ask in (lambda: caught() is None, wait_for_ray_ready):
            ray.shutdown()
            seen = [held()["state"], is_connected(), is_ray_available(),
                    get_ray_cluster_info()["status"], get_connection_info()["status"]]
            rounds.append([ask(), ray.get(ray.remote(lambda: 42).remote()), seen])
        ray.shutdown()
        direct = ensure_ray_initialized()  # with no look in between
        report(rounds=rounds, direct=direct, task=ray.get(ray.remote(lambda: 42).remote()),
               generation=seedcore_ray.generation(), problems=logged("WARNING") + logged("ERROR"))
        """,
        RAY_ADDRESS=address,
        deadline_s=90,
    )
    nothing = ["idle", False, False, "not_available", "not_connected"]
    assert told["rounds"] == [[True, 42, nothing]] * 2
    assert told["direct"] and told["task"] == 42
    assert told["generation"] == 4 and told["problems"] == []


def test_their_init_while_we_still_look_is_used(ray_head: RayHead) -> None:
    told = play(
        """
        import ray
        waiting = threading.Thread(
            target=ensure_ray_initialized, args=["127.0.0.1:1"], kwargs={"connect_timeout_s": 20})
        waiting.start()
        while held()["state"] != "connecting":
            time.sleep(0.01)
        ray.init(sys.argv[1], namespace="theirs")
        report(ok=ensure_ray_initialized(), mode=held()["mode"])
        shutdown_ray()
        waiting.join(60)
        report(ended=not waiting.is_alive(), initialized=ray.is_initialized())
        """,
        ray_head.gcs_address,
    )
    assert told["ok"] and told["mode"] == "adopted"
    assert told["ended"] and not told["initialized"]
