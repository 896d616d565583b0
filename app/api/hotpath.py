"""The hot path: POST /predict and POST /generate answered in front of FastAPI.

FastAPI's routing, dependencies and response classes take about six times as long as everything else that is done for a
small request (`python -m benchmarks.layers`). This pure ASGI front does without them for the two endpoints that carry
the load, and hands everything else on. It is an optimisation, never a second behaviour: what is done with a body is
`Endpoint.respond`, which FastAPI's own endpoints call as well, and a property test holds both ways to the same status,
headers and body. `SINE_HOT_PATH=false` takes it out.
"""

from collections.abc import Iterable
from typing import Any

from starlette.datastructures import State
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.endpoints import Endpoint
from app.api.parsing import disconnected, read_body
from app.engine.repository import serving
from app.problems import problem_of, problem_response


class HotPath:
    """ASGI middleware around the application whose endpoints these are; `state` is that application's."""

    def __init__(self, app: ASGIApp, state: State, endpoints: Iterable[Endpoint[Any]], max_body_bytes: int) -> None:
        """A body that is larger, or does not say how large it is, is left to `app`."""
        self.app = app
        self._state = state
        self._max = max_body_bytes
        self._endpoints = {endpoint.path: endpoint for endpoint in endpoints}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope["path"]) if scope["type"] == "http" else None
        if endpoint is None or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        content_type, length = b"", self._max + 1
        for name, value in reversed(scope["headers"]):  # of several, the first counts
            if name == b"content-type":
                content_type = value
            elif name == b"content-length":
                length = int(value)  # the HTTP parser has checked that it is a number, and that there is only one
        if length > self._max:
            return await self.app(scope, receive, send)
        try:
            models = serving(self._state)
            body = await read_body(receive)
            content, served = await endpoint.respond(
                content_type.decode("latin-1"), body, models, lambda: disconnected(receive)
            )
        except Exception as error:
            return await problem_response(problem_of(error, f"POST {endpoint.path}"))(scope, receive, send)
        headers = [served.version, (b"content-length", b"%d" % len(content)), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})
