"""A new connection: the old value is dead, and made anew at the next use."""

from __future__ import annotations

import pytest

from seedcore_ray.testing import RayHead
from tests.support.modes import MOSTLY_NATIVE
from tests.support.scenario import play


@pytest.mark.parametrize("mode", MOSTLY_NATIVE)
def test_a_dead_actor_handle_is_replaced_after_a_reconnect(ray_head: RayHead, mode: str) -> None:
    told = play(
        """
        import ray
        from seedcore_ray import lazy
        class Echo:
            def say(self, word):
                return word
        closed = []
        echo = lazy(lambda: ray.remote(Echo).remote(), "echo", on_close=closed.append)
        def say(handle, word):
            return ray.get(handle.say.remote(word), timeout=30)
        ensure_ray_initialized()
        old = echo.get()
        words = [say(echo, "first")]
        ensure_ray_initialized(force_reinit=True)
        state, untouched = repr(echo), len(closed)
        words.append(say(echo, "anew"))
        dead = None
        if sys.argv[1] == "native":
            try:
                say(old, "dead")
            except Exception as error:
                dead = type(error).__name__
        report(words=words, state=state, closed=[untouched, closed == [old]], dead=dead)
        """,
        mode,
        RAY_ADDRESS=ray_head.gcs_address if mode == "native" else ray_head.client_address,
    )
    assert told["words"] == ["first", "anew"]
    assert told["state"] == "<Lazy echo: to be made anew>" and told["closed"] == [0, True]
    assert (told["dead"] is not None) == (mode == "native")


_WAYS = ("connected_anew", "shut_down", "shut_down_behind_our_back", "all_of_it_behind_our_back")


# A client takes its time to connect; it is seen to reconnect above.
@pytest.mark.parametrize(("mode", "ways"), [("native", _WAYS), ("client", _WAYS[3:])])
def test_whoever_reconnects_and_however(
    ray_head: RayHead, mode: str, ways: tuple[str, ...]
) -> None:
    told = play(
        """
        import ray
        from seedcore_ray import lazy
        closed = []
        value = lazy(object, on_close=closed.append)
        def connected_anew():
            ensure_ray_initialized(force_reinit=True)
        def shut_down():
            shutdown_ray()
            ensure_ray_initialized()
        def shut_down_behind_our_back():
            ray.shutdown()
            ensure_ray_initialized()
        def all_of_it_behind_our_back():
            ray.shutdown()
            ray.init(os.environ["RAY_ADDRESS"])
        told = []
        ensure_ray_initialized()
        for how in sys.argv[1:]:
            old = value.get()
            globals()[how]()
            told.append([value.get() is not old, closed[-1] is old, len(closed), value.get() is old,
                         held()["generation"]])
        value.reset()
        report(told=told, closed=len(closed), reset=repr(value), again=value.get() not in closed)
        """,
        *ways,
        RAY_ADDRESS=ray_head.gcs_address if mode == "native" else ray_head.client_address,
    )
    count = len(ways)
    assert told["told"] == [[True, True, n, False, n + 1] for n in range(1, count + 1)]
    assert told["closed"] == count + 1 and "not made" in told["reset"] and told["again"]


def test_a_connection_that_changes_under_the_factory(ray_head: RayHead) -> None:
    told = play(
        """
        import ray
        from seedcore_ray import RayNotReadyError, lazy
        log, at, changes = [], [0], [1]
        def make():
            at[0] += 1
            mine = at[0]
            log.append(f"make {mine}")
            if mine <= changes[0]:
                ensure_ray_initialized(force_reinit=True)
            return mine
        ensure_ray_initialized()
        value = lazy(make, "value", on_close=lambda old: log.append(f"close {old}"))
        once = [value.get(), list(log)]
        # A factory that connects anew each time is stopped.
        value.reset()
        log.clear()
        changes[0] = 1000
        try:
            value.get()
        except RayNotReadyError as error:
            restless = [error.kind, error.name, str(error), list(log)]
        # An on_close that wants the value which is about to be made.
        def use_it(old):
            user.get()
        user = lazy(object, "user", on_close=use_it)
        old = user.get()
        ensure_ray_initialized(force_reinit=True)
        used = [user.get() is not old, logged("ERROR", "on_close of user")]
        # A factory that leaves no connection behind.
        log.clear()
        gone = lazy(lambda: shutdown_ray() or "gone", "gone", on_close=log.append)
        try:
            gone.get()
        except RayNotReadyError as error:
            after = [error.kind, list(log)]
        report(once=once, restless=restless, used=used, after=after)
        """,
        RAY_ADDRESS=ray_head.gcs_address,
    )
    assert told["once"] == [2, ["make 1", "close 1", "make 2"]]
    kind, name, text, log = told["restless"]
    assert (kind, name) == ("not_connected", "value") and "went away 3 times" in text
    assert log == [f"{what} {n}" for n in (3, 4, 5) for what in ("make", "close")]
    assert told["used"][0] and len(told["used"][1]) == 1
    assert told["after"] == ["not_connected", ["gone"]]


def test_on_close_can_break_nothing() -> None:
    told = play(
        """
        import types
        from seedcore_ray import lazy
        sys.modules["ray"] = types.SimpleNamespace(is_initialized=lambda: True)
        numbers = iter(range(10))
        def fail(old):
            raise OSError(f"no {old}")
        async def later(old):
            pass
        told = {}
        for name, on_close in (("fail", fail), ("later", later)):
            value = lazy(lambda: next(numbers), name, on_close=on_close)
            before = value.get()
            value.reset()
            told[name] = [before, value.get(), logged("ERROR", name)]
            records.clear()
        def leave(old):
            sys.exit(3)
        value = lazy(lambda: "value", on_close=leave)
        value.get()
        try:
            value.reset()
        except SystemExit as exit:
            told["exit"] = [exit.code, value.get()]
        value = lazy(lambda: "value", on_close=print)
        value.reset()  # never made: nothing to close
        report(**told)
        """
    )
    for number, name in ((0, "fail"), (2, "later")):
        before, after, (line,) = told[name]
        assert (before, after) == (number, number + 1) and f"on_close of {name}" in line
    assert told["exit"] == [3, "value"]


def test_a_workers_connection_counts(ray_head: RayHead) -> None:
    told = play(
        """
        import ray
        ensure_ray_initialized()
        @ray.remote
        def work():
            import ray
            from seedcore_ray import lazy, require_ray
            require_ray("work")
            return ray.get(lazy(lambda: ray.put(42)).get())
        report(value=ray.get(work.remote()))
        """,
        RAY_ADDRESS=ray_head.gcs_address,
    )
    assert told["value"] == 42
