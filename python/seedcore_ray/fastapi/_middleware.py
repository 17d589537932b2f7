"""The middleware that ``ray_lifespan`` puts before the routes: 503, not 500, without Ray."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from seedcore_ray import _core
from seedcore_ray.fastapi import _unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from seedcore_ray._errors import RayConnectionError
    from seedcore_ray.fastapi._supervisor import Supervisor

    Explain = Callable[[BaseException], Awaitable[RayConnectionError | None]]

KEY = "seedcore_ray"
"""Where a request's scope has its ``Supervisor`` and its ``RequestScope``."""

_TRY_AGAIN_LATER = 1013


class RayMiddleware:
    """ASGI, for requests and WebSockets; pure, so that it costs no task of its own."""

    def __init__(self, app: ASGIApp, supervisor: Supervisor) -> None:
        self._app = app
        self._supervisor = supervisor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        supervisor = self._supervisor
        request = supervisor.begin()
        scope[KEY] = supervisor, request

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await self._app(scope, receive, send)
            supervisor.finish(request)

        async def explain(error: BaseException) -> RayConnectionError | None:
            return await supervisor.explain(request, error)

        await answered(app, scope, receive, send, explain)


async def answered(
    app: ASGIApp, scope: Scope, receive: Receive, send: Send, explain: Explain
) -> None:
    """Call ``app``; answer 503 in its place when it raises because Ray is absent.

    Args:
        app, scope, receive, send: of ASGI.
        explain: the absence of Ray that an exception comes from; None when it has another reason.
    """
    answer = _Answer(send)
    try:
        await app(scope, receive, answer.send)
    except BaseException as error:
        absence = await explain(error)
        if absence is None:
            await answer.let_go()
            raise
        await answer.give_up(absence, error)
    else:
        await answer.let_go()


def absence(scope: Scope) -> RayConnectionError | None:
    """Why a request cannot use Ray now; None when it can.

    Where no ``ray_lifespan`` runs, all that is known is the connection.
    """
    if served := scope.get(KEY):
        supervisor: Supervisor = served[0]
        return supervisor.absence()
    return _unavailable.reason(_core.connection())


def refusal(scope: Scope) -> RayConnectionError | None:
    """Why a request that needs Ray is not to begin now; None when it is."""
    if served := scope.get(KEY):
        supervisor: Supervisor = served[0]
        return supervisor.refusal()
    return absence(scope)


class _Answer:
    """Sends the answer to a request, but holds back a 500 until its cause is known.

    A mounted app answers 500 for an exception before the exception gets here.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._held: list[Message] = []
        self._has_begun = False
        self._is_accepted = False

    async def send(self, message: Message) -> None:
        is_500 = message["type"] == "http.response.start" and message["status"] == 500
        if not (is_500 or self._held):
            return await self._pass_on(message)
        self._held.append(message)
        if message.get("more_body"):  # no answer to an exception is streamed
            await self.let_go()

    async def let_go(self) -> None:
        """Send what is held back: it was a 500 of the app's own."""
        held, self._held = self._held, []
        for message in held:
            await self._pass_on(message)

    async def _pass_on(self, message: Message) -> None:
        self._has_begun = True
        self._is_accepted |= message["type"] == "websocket.accept"
        await self._send(message)

    async def give_up(self, absence: RayConnectionError, error: BaseException) -> None:
        """Answer that Ray is absent, by an exception, so that the app's own handlers see it."""
        if self._is_accepted:
            with suppress(RuntimeError):  # closed already
                await self._send({"type": "websocket.close", "code": _TRY_AGAIN_LATER})
            return
        if self._has_begun:
            raise absence from error
        raise _unavailable.unavailable(absence) from error
