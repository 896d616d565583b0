"""Who may ask: pure ASGI middleware outside of whatever answers. None of it is there unless a setting asks for it.

With keys, everything wants one but `OPEN` and the files of the page: what machines ask to know if the service lives,
and what is in the repository for everybody to read. A path that nobody has thought of is behind the key.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import RateExceeded, Unauthorized
from app.keys import Keys
from app.open_inference.tensors import LENGTH_HEADER
from app.problems import declared, problem_response
from app.settings import Settings
from app.telemetry.context import admitted

OPEN = frozenset({"/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/docs", "/openapi.json"})

_SCRIPTS = "/static-offline-docs/"
"""Of the documentation page."""

_ADMIN = "/admin"
_POLICY = 1008


class Guard:
    """Answers 401 to whoever has no right key, before anything of the request is read, or of a WebSocket accepted.

    With admin keys, /metrics and all below /admin want one of those; no other key opens them, and they open nothing
    else. Without, /metrics is like any other endpoint.
    """

    def __init__(self, app: ASGIApp, keys: Keys | None, admin_keys: Keys | None, open_paths: Iterable[str]) -> None:
        """None where there are no keys: then what they would open is open. `open_paths` are so for everybody."""
        self.app = app
        self._keys = keys
        self._admin_keys = admin_keys
        self._open = OPEN.union(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        path = scope["path"]
        keys = self._wanted(path)
        if keys is not None:
            key = bearer(scope["headers"])
            owner = keys.owner(key)
            if not owner:
                return await problem_response(Unauthorized(), path)(scope, receive, send)
            admitted(owner)
            if scope["type"] == "websocket":
                receive = _while_known(keys, key, receive, send)
        await self.app(scope, receive, send)

    def _wanted(self, path: str) -> Keys | None:
        if self._admin_keys is not None and _is_admins(path):
            return self._admin_keys
        return None if path in self._open or path.startswith(_SCRIPTS) else self._keys


def _is_admins(path: str) -> bool:
    return path in ("/metrics", _ADMIN) or path.startswith(_ADMIN + "/")


def _while_known(keys: Keys, key: bytes, receive: Receive, send: Send) -> Receive:
    """A connection may outlive its key: each of its messages is looked at as a request would be."""

    async def receive_if_known() -> Message:
        message = await receive()
        if message["type"] == "websocket.receive" and not keys.owner(key):
            await send({"type": "websocket.close", "code": _POLICY, "reason": "the key is no longer known"})
            return {"type": "websocket.disconnect", "code": _POLICY}
        return message

    return receive_if_known


def bearer(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The key in `Authorization: Bearer KEY`; empty without one, or with several."""
    given = [value for name, value in headers if name == b"authorization"]
    if len(given) != 1:
        return b""
    scheme, _, key = given[0].partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else b""


def guarded(app: ASGIApp, settings: Settings, static: Path) -> ASGIApp:
    """`app` behind the keys of `settings`; `app` itself where there are none. Raises BadKeys."""
    if settings.api_keys is None and settings.admin_keys is None:
        return app
    keys, admin_keys = (None if path is None else Keys(path) for path in (settings.api_keys, settings.admin_keys))
    page = [f"/{file.relative_to(static).as_posix()}" for file in static.rglob("*") if file.is_file()]
    return Guard(app, keys, admin_keys, ["/", *page])


def cross_origin(app: ASGIApp, settings: Settings) -> ASGIApp:
    """`app`, answering pages of other origins as well, where `settings` name them.

    It is around the keys: a browser asks whether it may send one without having one. No cookie is ever looked at, so
    there is nothing that a page could use behind its visitor's back, and `*` is no danger to those with keys.
    """
    if settings.cors_origins is None:
        return app
    return CORSMiddleware(
        app,
        allow_origins=settings.cors_origins.split(","),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "X-Request-Id", "traceparent", LENGTH_HEADER],
        expose_headers=["Retry-After", "X-Request-Id", "X-Model-Version", LENGTH_HEADER],
    )


def document_keys(app: FastAPI, settings: Settings) -> None:
    """Say in the OpenAPI document where a key is wanted, if it is: /docs then has a place to give it."""
    if settings.api_keys is None and settings.admin_keys is None:
        return
    openapi = app.openapi

    def openapi_with_keys() -> dict[str, Any]:
        document = openapi()
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, operations in document["paths"].items():
            if settings.admin_keys is not None and _is_admins(path):
                refusals = declared(Unauthorized)
            elif settings.api_keys is not None and path not in OPEN:
                refusals = declared(Unauthorized, RateExceeded, path=path)
            else:
                continue
            for operation in operations.values():
                operation["security"] = [{"key": []}]
                operation["responses"] |= {str(status): refusal for status, refusal in refusals.items()}
        return document

    app.openapi = openapi_with_keys  # type: ignore[method-assign]
