"""Access control: ASGI middleware that checks API keys. It is in use only where the settings name a file of keys.

Every path requires a key, with two exceptions: the health and documentation paths in `OPEN`, and the files of the page,
which are public anyway. A new path therefore requires a key by default.
"""

from collections.abc import Iterable
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import Unauthorized
from app.keys import Keys
from app.problems import problem_response
from app.settings import Settings
from app.telemetry.context import note_owner

OPEN = frozenset({"/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/docs", "/openapi.json"})

_POLICY = 1008
"""The WebSocket close code for a policy violation."""


class Guard:
    """Answers 401 to a request without a valid key, before its body is read or its WebSocket is accepted.

    With admin keys, /metrics and every path below /admin require an admin key. An admin key opens only those paths, and
    no other key opens them. Without admin keys, /metrics is like any other endpoint.
    """

    def __init__(self, app: ASGIApp, settings: Settings, static: Path) -> None:
        """The files in `static` never require a key. Raises BadKeys."""
        self.app = app
        self._keys = Keys(settings.api_keys) if settings.api_keys else None
        self._admin_keys = Keys(settings.admin_keys) if settings.admin_keys else None
        files = (file.relative_to(static).as_posix() for file in static.rglob("*") if file.is_file())
        self._open = {*OPEN, "/", *(f"/{file}" for file in files)}

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
            note_owner(owner)
            if scope["type"] == "websocket":
                receive = _while_known(keys, key, receive, send)
        await self.app(scope, receive, send)

    def _wanted(self, path: str) -> Keys | None:
        if self._admin_keys is not None and is_admin(path):
            return self._admin_keys
        is_open = path in self._open or path.startswith("/static-offline-docs/")  # the documentation page's scripts
        return None if is_open else self._keys


def is_admin(path: str) -> bool:
    """Return whether admin keys, where there are any, protect this path."""
    return path in ("/metrics", "/admin") or path.startswith("/admin/")


def _while_known(keys: Keys, key: bytes, receive: Receive, send: Send) -> Receive:
    """Check the key again for each message: a connection may outlive its key."""

    async def receive_if_known() -> Message:
        message = await receive()
        if message["type"] == "websocket.receive" and not keys.owner(key):
            await send({"type": "websocket.close", "code": _POLICY, "reason": "the key is no longer known"})
            return {"type": "websocket.disconnect", "code": _POLICY}
        return message

    return receive_if_known


def bearer(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The key in `Authorization: Bearer KEY`; empty without such a header, or with several headers."""
    given = [value for name, value in headers if name == b"authorization"]
    if len(given) != 1:
        return b""
    scheme, _, key = given[0].partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else b""


def guarded(app: ASGIApp, settings: Settings, static: Path) -> ASGIApp:
    """Put `app` behind the keys of `settings`, if there are any. Raises BadKeys."""
    if settings.api_keys is None and settings.admin_keys is None:
        return app
    return Guard(app, settings, static)
