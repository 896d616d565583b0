"""HEAD wherever GET is (RFC 9110, 9.3.2)."""

from starlette.types import ASGIApp, Receive, Scope, Send


class HeadMiddleware:
    """Answers a HEAD request as the same GET request. The HTTP server sends the head of that answer alone.

    FastAPI's routes do not do so by themselves, and would list each HEAD in the OpenAPI document.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # the server, and whatever traces the request, keep their own
        await self.app(scope, receive, send)
