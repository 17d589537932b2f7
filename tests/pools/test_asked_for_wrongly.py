"""Mistakes and dead clusters: told at once or in the time that was allowed, in words."""

from __future__ import annotations

import pytest

from seedcore_ray import ConnectionPool, PoolClosed, PoolTimeout, RayConnectionError
from seedcore_ray.testing import RayHead
from tests.support import closed_port
from tests.support.scenario import play


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"address": "head:6379"}, ValueError, "one native"),
        ({"address": "auto"}, ValueError, "one native"),
        ({"address": "local"}, ValueError, "one native"),
        ({"address": "ray://"}, ValueError, "ray://"),
        ({"address": "ray:/head"}, ValueError, "ray://"),
        ({"address": 5}, TypeError, "str"),
        ({"min_size": 3, "max_size": 2}, ValueError, "max_size"),
        ({"min_size": -1}, ValueError, "min_size"),
        ({"max_size": 0}, ValueError, "max_size"),
        ({"max_size": 2.0}, TypeError, "max_size"),
        ({"max_size": True}, TypeError, "max_size"),
        ({"max_waiting": -1}, ValueError, "max_waiting"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"timeout": "1"}, TypeError, "timeout"),
        ({"max_idle": -1}, ValueError, "max_idle"),
        ({"namespace": 1}, TypeError, "str"),
    ],
)
def test_mistakes(arguments: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        ConnectionPool(**{"address": "ray://head", **arguments})  # type: ignore[arg-type]


def test_secrets_are_not_shown() -> None:
    with pytest.raises(ValueError, match="ray://") as caught:
        ConnectionPool("ray://user:hunter2@head:10001")
    assert "hunter2" not in str(caught.value)


def test_a_closed_pool_stays_closed() -> None:
    pool = ConnectionPool("ray://head")
    pool.close()
    pool.close()
    assert pool.closed
    for use in (pool.open, pool.connection().__enter__, lambda: pool.run(int)):
        with pytest.raises(PoolClosed, match="closed"):
            use()


def test_a_dead_address_is_told_when_the_time_is_up() -> None:
    with ConnectionPool(f"ray://127.0.0.1:{closed_port()}", name="dead") as pool:
        with pytest.raises(PoolTimeout, match="dead") as caught, pool.connection(timeout=0.5):
            pass
        assert caught.value.kind == "refused"
        with pytest.raises(PoolTimeout) as caught, pool.connection(timeout=0):
            pass
        assert isinstance(caught.value, RayConnectionError)


def test_wait_closes_a_pool_that_does_not_fill() -> None:
    pool = ConnectionPool(f"ray://127.0.0.1:{closed_port()}")
    with pytest.raises(PoolTimeout):
        pool.open(wait=True, timeout=0.5)
    assert pool.closed


def test_a_wrong_port_is_told_at_once(ray_head: RayHead) -> None:
    with (
        ConnectionPool(f"ray://{ray_head.gcs_address}") as pool,
        pytest.raises(RayConnectionError) as caught,
        pool.connection(timeout=60),
    ):
        pass
    assert caught.value.kind == "wrong_port"
    assert not isinstance(caught.value, PoolTimeout)


def test_a_caller_that_waits_can_be_interrupted() -> None:
    result = play(
        """
import signal
from seedcore_ray import ConnectionPool
pool = ConnectionPool(sys.argv[1])
threading.Timer(0.5, lambda: signal.raise_signal(signal.SIGINT)).start()
try:
    with pool.connection(timeout=60):
        pass
except KeyboardInterrupt:
    report(ended="interrupted", waiting=pool.get_stats()["requests_waiting"])
""",
        f"ray://127.0.0.1:{closed_port()}",
    )
    assert result == {"ended": "interrupted", "waiting": 0}


def test_the_breaker_answers_while_there_is_no_cluster() -> None:
    result = play(
        """
from seedcore_ray import ConnectionPool, RayConnectionError
pool = ConnectionPool(sys.argv[1], min_size=0, name="dead")
def kinds():
    found = []
    def ask():
        try:
            with pool.connection(timeout=30):
                pass
        except RayConnectionError as error:
            found.append((error.kind, error.retry_after_s is not None))
    threads = [threading.Thread(target=ask) for _ in range(64)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    return sorted(set(found)), len(found)
report(first=kinds(), then=kinds(), lines=len(logged("ERROR")), imported="ray" in sys.modules)
""",
        f"ray://127.0.0.1:{closed_port()}",
        SEEDCORE_RAY_CONNECT_TIMEOUT_S="0.5",
        SEEDCORE_RAY_BREAKER_RESET_S="60",
    )
    assert result["first"] == [[["refused", False]], 64]
    assert result["then"] == [[["circuit_open", True]], 64]
    # One line for all of them; and a dead cluster does not cost the import of Ray.
    assert (result["lines"], result["imported"]) == (1, False)
