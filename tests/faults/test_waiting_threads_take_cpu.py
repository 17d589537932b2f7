"""A blocked thread looks for signals now and then: many of them take a core, for nothing."""

from __future__ import annotations

from seedcore_ray.testing import RayHead
from tests.support.scenario import play


def test_threads_that_get_no_signals_rest(ray_head: RayHead) -> None:
    told = play(
        """
        import resource
        from seedcore_ray import ConnectionPool

        pool = ConnectionPool(sys.argv[1], min_size=1, max_size=1)

        def wait():
            with pool.connection(timeout=60):
                pass

        def wake_ups():
            return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw

        with pool.connection(timeout=60):
            for _ in range(300):
                threading.Thread(target=wait, daemon=True).start()
            while pool.get_stats()["requests_waiting"] < 300:
                time.sleep(0.01)
            counted = []
            for _ in range(3):
                before = wake_ups()
                time.sleep(1)
                counted.append(wake_ups() - before)
        report(counted=counted)
        """,
        ray_head.client_address,
        deadline_s=150,
    )
    # A look every 50 ms was 6,000 in a second.
    assert min(told["counted"]) < 1500, told
