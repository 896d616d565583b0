"""Uvicorn's WebSocket protocol with deadlines, and with an end that loses no message.

Uvicorn waits without limit for a client that takes nothing of what it is sent, or whose request for a WebSocket it
cannot read. It closes a connection at once when the service stops, although messages have come and wait.
"""

import asyncio
from contextlib import suppress

from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app.errors import Malformed
from app.server.edge import Edge
from app.server.responses import refusal
from app.server.timeouts import LINGER_S, Deadline

_RESTART = 1012
"""The close code of RFC 6455's registry for a service that restarts: connect again."""

_STOP: ASGIReceiveEvent = {"type": "websocket.disconnect", "code": _RESTART}

_CLOSE_TIMEOUT_S = 1.0
"""Seconds in which a client may close its side after the service has closed its own."""


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection. `app/server/timeouts.py` checks its deadline like that of every connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._edge: Edge = self.app_state["edge"]
        self._deadline = Deadline(self._edge.receive_timeout_s, None, self.loop.time())

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._edge.publish_connections(len(self.connections))

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol.data_received`. The first data is the whole request."""
        super().data_received(data)
        if not self.handshake_initiated:
            self.handshake_initiated = self.handshake_complete = self.close_sent = True
            refused = Malformed("A WebSocket begins with a GET request of at most 128 headers and 8 KiB a line.")
            self.transport.write(b"".join(self.conn.data_to_send()) or refusal(refused))
            self.transport.close()

    def check_deadline(self, now_s: float) -> None:
        """Abort the connection if its client has taken nothing of what it is sent for too long."""
        if self._deadline.has_passed(self.transport.get_write_buffer_size() or None, now_s):
            self.transport.abort()

    def send_receive_event_to_app(self) -> None:
        """Pass a message on. Pause reading only if another message waits: a pause costs two calls of the system."""
        if self.read_paused or not self.queue.empty():
            super().send_receive_event_to_app()
            return
        self.read_paused = True  # uvicorn would pause for every message
        super().send_receive_event_to_app()
        self.read_paused = False

    def shutdown(self) -> None:
        """Answer the messages that have come or come in a moment, because they may be on their way. Then close."""
        if self.close_sent:
            super().shutdown()
        else:
            self.close_timeout = _CLOSE_TIMEOUT_S
            self.loop.call_later(LINGER_S, lambda: self.queue.put_nowait(_STOP))

    async def receive(self) -> ASGIReceiveEvent:
        """See `WebSocketsSansIOProtocol`. The end of the service comes behind all messages that came before it."""
        if not self.queue.empty():
            await asyncio.sleep(0)  # one message a turn: there may be thousands, and other requests get turns between
        message = await super().receive()
        if message is _STOP and not self.close_sent:
            for _ in range(2):
                await asyncio.sleep(0)  # the event loop reads what the system has kept for it
            if not self.queue.empty():
                self.queue.put_nowait(_STOP)
                return await self.receive()
            with suppress(ClientDisconnected):
                await self.send({"type": "websocket.close", "code": _RESTART})
        return message
