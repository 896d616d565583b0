"""The front: POST requests that are answered in front of FastAPI.

FastAPI's routing, dependencies and response classes take about six times as long as everything else that is done for a
small request (`python -m benchmarks.layers`). This pure ASGI middleware does without them for the endpoints that carry
the load, and hands everything else on. It is an optimisation, never a second behaviour: FastAPI's endpoints call the
same functions, and a property test compares status, headers and body. `SINE_HOT_PATH=false` takes it out.
"""

from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.endpoints import ClientGone
from app.api.parsing import disconnected, read_body
from app.problems import problem_of, problem_response

Handler = Callable[[Headers, bytes, ClientGone], Awaitable[Response]]
"""Answers a request with these headers and this body. Raises Problem for whatever is refused."""


class Front:
    """ASGI middleware around the application that has the same endpoints."""

    def __init__(self, app: ASGIApp, find: Callable[[str], Handler | None]) -> None:
        """`find` returns what answers a POST request to a path, or None if that is left to `app`."""
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
