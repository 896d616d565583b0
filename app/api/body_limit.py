"""The limit on the size of a request's body, as pure ASGI middleware.

FastAPI's own `max_body_size` would do, but for two things: Starlette replaces whatever error is answered to a body that
announces its size by its own plain text, and it does not see what is answered before FastAPI's routing.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BodyTooLarge
from app.problems import is_open_inference, problem_response


class BodyLimitMiddleware:
    """Answers 413 to a body that announces more than is allowed, and stops reading a chunked one at that size.

    Allowed are `max_body_bytes`, and `max_batch_bytes` below /v2, where a request may be a batch.
    The second case raises `BodyTooLarge` out of `receive`, for the application to answer like any other problem.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int, max_batch_bytes: int) -> None:
        self.app = app
        self._max = max_body_bytes
        self._max_batch = max_batch_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        path = scope["path"]
        limit = self._max_batch if is_open_inference(path) else self._max
        for name, value in scope["headers"]:
            if name == b"content-length":
                # The HTTP parser has checked that it is a number, and gives no body that is longer than it says.
                if int(value) > limit:
                    return await problem_response(BodyTooLarge(limit), path)(scope, receive, send)
                return await self.app(scope, receive, send)
        received = 0

        async def counted_receive() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > limit:
                    raise BodyTooLarge(limit)
            return message

        await self.app(scope, counted_receive, send)
