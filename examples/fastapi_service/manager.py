"""The part that needs Ray: named actors, and the manager that finds and uses them."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable
from typing import Any

import ray


class Agent:
    """An actor. It outlives the service, so that the next start of it finds it again."""

    def __init__(self) -> None:
        self._done = 0

    def work(self, seconds: float) -> dict[str, int]:
        """Do something that takes a while."""
        time.sleep(seconds)
        self._done += 1
        return self.status()

    def status(self) -> dict[str, int]:
        """What it has done so far."""
        return {"pid": os.getpid(), "done": self._done}


class Manager:
    """Hands work to the agents. Made after Ray is connected, and made anew after a reconnect."""

    def __init__(self, agents: dict[str, Any]) -> None:
        self._agents = agents

    @classmethod
    async def bootstrap(cls, names: list[str]) -> Manager:
        """Find or start the named actors; all of them answer when this returns."""
        # Starting an actor waits for the cluster, which must not stop the event loop.
        return cls(await asyncio.to_thread(_start, names))

    def status(self, name: str) -> Awaitable[dict[str, int]]:
        """To be awaited on the event loop."""
        status: Awaitable[dict[str, int]] = self._agents[name].status.remote()
        return status

    def work(self, name: str, seconds: float) -> dict[str, int]:
        """Blocks until the agent is done."""
        done: dict[str, int] = ray.get(self._agents[name].work.remote(seconds))
        return done


def _start(names: list[str]) -> dict[str, Any]:
    actor = ray.remote(Agent)
    agents = {
        name: actor.options(name=name, get_if_exists=True, lifetime="detached").remote()
        for name in names
    }
    ray.get([agent.status.remote() for agent in agents.values()])
    return agents
