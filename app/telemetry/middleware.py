"""The outermost middleware, in pure ASGI. It gives each request its id, then counts, times and logs it.

All requests that end in one turn of the event loop are counted and logged together at its end, after their answers have
gone out. The code for it is then in the processor's caches for all of them but the first.
"""

import asyncio
import time
from collections.abc import Awaitable, Iterable
from http import HTTPStatus

from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry.access_log import AccessLog
from app.telemetry.context import RequestContext
from app.telemetry.metrics import Metrics, Route

_SWITCHING_PROTOCOLS = int(HTTPStatus.SWITCHING_PROTOCOLS)  # a plain number, which is compared for each request


class Recorder:
    """Counts and logs the requests that have ended in a turn of the event loop, together at its end."""

    def __init__(self, metrics: Metrics, access: AccessLog | None) -> None:
        """`access` is None for no access log."""
        self.metrics = metrics
        self._access = access
        self._ended: list[RequestContext] = []

    def begin(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> RequestContext:
        """Begin the record of a request to a route without parameters that no application answers. `finish` ends it.

        Before anything else is done, `clear` has to be called.
        """
        return RequestContext(self.metrics.routes[path], headers)

    def finish(self, context: RequestContext) -> None:
        """Record a request that has been answered, or has failed."""
        context.duration_s = time.perf_counter() - context.began_s
        if not self._ended:
            asyncio.get_running_loop().call_soon(self.count)
        self._ended.append(context)

    def count(self) -> None:
        """Count and log what has ended since the last time."""
        ended, self._ended = self._ended, []
        for context in ended:
            context.route.requests[context.status].add()
            if context.status != _SWITCHING_PROTOCOLS:  # how long a connection stays open is no latency
                context.route.latency.observe(context.duration_s)
            if context.reason:
                self.count_refusal(context)
        if self._access is not None:
            self._access.add(ended)

    def count_refusal(self, context: RequestContext) -> None:
        """Count why a request was refused, if it was. A connection may have several refusals, each in a message."""
        if context.reason:
            self.metrics.refused[context.reason].add()
            context.reason = ""


class RecordingMiddleware:
    """Records requests and WebSocket connections by the template of their route, never by their path."""

    def __init__(self, app: ASGIApp, recorder: Recorder) -> None:
        self.app = app
        self._recorder = recorder
        self._metrics, self._routes = recorder.metrics, recorder.metrics.routes
        self._templates = [(compile_path(path)[0], route) for path, route in self._routes.items() if "{" in path]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await (self._connection if scope["type"] == "websocket" else self.app)(scope, receive, send)
        path = scope["path"]
        context = RequestContext(self._routes.get(path) or self._template(path), scope["headers"], send)
        try:
            await self.app(scope, receive, context.send)
        finally:
            self._recorder.finish(context)

    async def _connection(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Observe a WebSocket, and count its messages."""
        path = scope["path"]
        context = RequestContext(self._routes.get(path) or self._template(path), scope["headers"], send)

        async def counted_receive() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive":
                self._metrics.received.add()
            return message

        def observed_send(message: Message) -> Awaitable[None]:
            kind = message["type"]
            if kind == "websocket.send":
                self._metrics.sent.add()
                self._recorder.count_refusal(context)
            elif kind in ("websocket.accept", "websocket.http.response.start"):
                context.status = message.get("status", HTTPStatus.SWITCHING_PROTOCOLS)
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", context.id)]
            elif kind == "websocket.close" and context.status != HTTPStatus.SWITCHING_PROTOCOLS:
                context.status = HTTPStatus.FORBIDDEN  # the server answers so where a WebSocket is not accepted
            return send(message)

        self._metrics.sockets.add(1)
        try:
            await self.app(scope, counted_receive, observed_send)
        finally:
            self._metrics.sockets.add(-1)
            self._recorder.finish(context)

    def _template(self, path: str) -> Route:
        return next((route for pattern, route in self._templates if pattern.match(path)), self._metrics.other)
