"""The limit on the size of a request's body, as pure ASGI middleware.

FastAPI's own `max_body_size` has two faults. Starlette replaces the answer to a body that announces too large a size
by plain text of its own. And it does not see requests that are answered in front of FastAPI's routing.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import BodyTooLarge
from app.problems import is_open_inference, problem_response


class BodyLimitMiddleware:
    """Answers 413 to a body that announces too large a size, and stops reading a chunked body at the limit.

    The limit is `max_batch_bytes` below /v2, where a request may be a batch, and `max_body_bytes` elsewhere. A chunked
    body raises `BodyTooLarge` out of `receive`, which the application answers like any other problem.
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
        # The HTTP parser has checked that it is a number, and never gives a longer body than announced.
        announced = next((int(value) for name, value in scope["headers"] if name == b"content-length"), None)
        if announced is None:
            receive = _limited(receive, limit)
        elif announced > limit:
            return await problem_response(BodyTooLarge(limit), path)(scope, receive, send)
        await self.app(scope, receive, send)


def _limited(receive: Receive, limit: int) -> Receive:
    received = 0

    async def counted_receive() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise BodyTooLarge(limit)
        return message

    return counted_receive
