"""The middleware that ``ray_lifespan`` puts before the routes: no Ray, no 500 but a 503."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from seedcore_ray.fastapi._request_scope import Use
from seedcore_ray.fastapi._unavailable import unavailable

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from seedcore_ray._errors import RayConnectionError
    from seedcore_ray.fastapi._supervisor import Keeper

KEY = "seedcore_ray"
"""Where a request's ``Use`` is in its scope."""

_TRY_AGAIN_LATER = 1013


class Guard:
    """ASGI, for requests and WebSockets; pure, so that it costs no task of its own."""

    def __init__(self, app: ASGIApp, keeper: Keeper) -> None:
        self._app = app
        self._keeper = keeper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        use = scope[KEY] = Use(self._keeper)
        answer = _Answer(send)
        try:
            await self._app(scope, receive, answer.send)
        except BaseException as error:
            absence = await use.explain(error, needed_ray=use.over())
            if absence is None:
                await answer.let_go()
                raise
            await answer.give_up(absence, error)
        else:
            use.over()
            await answer.let_go()


class _Answer:
    """What a request is answered with, where a 500 is held back until it is known why.

    A mounted app answers 500 for an exception before it lets us see that exception.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: list[Message] = []
        self._has_begun = False
        self._is_accepted = False

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start" and message["status"] == 500:
            self._held.append(message)
            return
        if self._held:
            self._held.append(message)
            if message.get("more_body"):  # nobody's answer to an exception
                await self.let_go()
            return
        self._has_begun = True
        self._is_accepted |= kind == "websocket.accept"
        await self._send(message)

    async def let_go(self) -> None:
        """It was a 500 of the app's own."""
        held, self._held = self._held, []
        for message in held:
            self._has_begun = True
            await self._send(message)

    async def give_up(self, absence: RayConnectionError, error: BaseException) -> None:
        """Answer that Ray is not there; by an exception, so that the app's own handlers see it."""
        if self._is_accepted:
            with suppress(RuntimeError):  # closed already
                await self._send({"type": "websocket.close", "code": _TRY_AGAIN_LATER})
            return
        if self._has_begun:
            raise absence from error
        raise unavailable(absence) from error
