"""The limit on the size of a request's body, as pure ASGI middleware.

FastAPI's own `max_body_size` would do, but for two things: Starlette replaces whatever error is answered to a body that
announces its size by its own plain text, and it does not see what is answered before FastAPI's routing.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BodyTooLarge, problem_response


class BodyLimitMiddleware:
    """Answers 413 to a body that announces more than `max_body_bytes`, and stops reading one that turns out larger.

    The second case raises `BodyTooLarge` out of `receive`, for the application to answer like any other problem.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self.app = app
        self._max = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        for name, value in scope["headers"]:
            # The HTTP parser has checked that a content-length is a number.
            if name == b"content-length" and int(value) > self._max:
                return await problem_response(BodyTooLarge(self._max))(scope, receive, send)
        received = 0

        async def counted_receive() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self._max:
                    raise BodyTooLarge(self._max)
            return message

        await self.app(scope, counted_receive, send)
