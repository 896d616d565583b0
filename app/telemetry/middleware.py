"""The pure ASGI middleware around everything: it gives each request its id, then counts, times and logs it.

What has ended in a turn of the event loop is counted and logged together, at the turn's end, when the answers have gone
out: what does it is then in the processor's caches for all of them but the first.
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


class ObservingMiddleware:
    """Observes requests and WebSocket connections by the template of their route, never by their path."""

    def __init__(self, app: ASGIApp, metrics: Metrics, access: AccessLog | None) -> None:
        """`access` is None for no access log."""
        self.app = app
        self._metrics = metrics
        self._access = access
        self._routes = metrics.routes
        self._templates = [(compile_path(path)[0], route) for path, route in metrics.routes.items() if "{" in path]
        self._sockets = 0
        self._ended: list[RequestContext] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await (self._connection if scope["type"] == "websocket" else self.app)(scope, receive, send)
        path = scope["path"]
        context = RequestContext(self._routes.get(path) or self._template(path), scope["headers"], send)
        try:
            await self.app(scope, receive, context.send)
        finally:
            self.finish(context)

    def begin(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> RequestContext:
        """Observe a request to a route without parameters that is answered without an application.

        `finish` ends that, and before anything else is done, `leave` has to.
        """
        return RequestContext(self._routes[path], headers)

    async def _connection(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Of a WebSocket: its messages are counted, and how long it stays open is no latency."""
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
                self._count_refusal(context)
            elif kind in ("websocket.accept", "websocket.http.response.start"):
                context.status = message.get("status", HTTPStatus.SWITCHING_PROTOCOLS)
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", context.id)]
            elif kind == "websocket.close" and context.status != HTTPStatus.SWITCHING_PROTOCOLS:
                context.status = HTTPStatus.FORBIDDEN  # what the server makes of a refusal to accept
            return send(message)

        self._open(1)
        try:
            await self.app(scope, counted_receive, observed_send)
        finally:
            self._open(-1)
            self.finish(context)

    def _open(self, more: int) -> None:
        self._sockets += more
        self._metrics.sockets.set(self._sockets)

    def finish(self, context: RequestContext) -> None:
        """The request has been answered, or has failed."""
        context.duration_s = time.perf_counter() - context.began_s
        if not self._ended:
            asyncio.get_running_loop().call_soon(self.count)
        self._ended.append(context)

    def count(self) -> None:
        """Count and log what has ended since the last time."""
        ended, self._ended = self._ended, []
        for context in ended:
            context.route.requests[context.status].add()
            if context.status != 101:  # how long a connection stays open is no latency
                context.route.latency.observe(context.duration_s)
            if context.reason:
                self._count_refusal(context)
        if self._access is not None:
            self._access.add(ended)

    def _count_refusal(self, context: RequestContext) -> None:
        """A connection may have several, each answered by a message."""
        if context.reason:
            self._metrics.refused[context.reason].add()
            context.reason = ""

    def _template(self, path: str) -> Route:
        return next((route for pattern, route in self._templates if pattern.match(path)), self._metrics.other)
