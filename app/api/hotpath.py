"""The front: POST requests that are answered in front of FastAPI.

For a small request, FastAPI's routing, dependencies and response classes take about six times as long as all other
work together (`python -m benchmarks.layers`). This pure ASGI middleware avoids them for the endpoints that carry the
load, and passes every other request on. It never changes a response: FastAPI's endpoints call the same functions, and a
property test compares status, headers and body. `SINE_HOT_PATH=false` removes it.
"""

from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.exchange import ClientGone
from app.api.parsing import disconnected, read_body
from app.problems import problem_of, problem_response

Handler = Callable[[Headers, bytes, ClientGone], Awaitable[Response]]
"""Answers a request with these headers and this body. Raises Problem if the request is refused."""


class Front:
    """ASGI middleware around the application that has the same endpoints."""

    def __init__(self, app: ASGIApp, find: Callable[[str], Handler | None]) -> None:
        """`find` returns the handler of POST requests to a path, or None if `app` answers them."""
        self.app = app
        self._find = find

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._find(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if handler is None:
            return await self.app(scope, receive, send)
        path = scope["path"]
        try:
            body = await read_body(receive)
            response = await handler(Headers(scope=scope), body, lambda: disconnected(receive))
        except Exception as error:
            response = problem_response(problem_of(error, f"POST {path}"), path)
        await response(scope, receive, send)
