"""Uvicorn's WebSocket protocol, with the limits of `app/server/timeouts.py`, and with an end that loses no message.

Uvicorn waits for ever for a client that asks for a WebSocket in a way that it cannot read, or that takes nothing of
what it is sent; and it closes a connection at once when the service stops, though messages have come and wait.
"""

import asyncio
from contextlib import suppress

from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app.errors import Malformed
from app.server.balancing import ConnectionBalancer
from app.server.coalescing import Config
from app.server.timeouts import LINGER_S, as_bytes

_RESTART = 1012
"""In the registry of RFC 6455: the service restarts, connect again."""
_STOP: ASGIReceiveEvent = {"type": "websocket.disconnect", "code": _RESTART}
_FAREWELL_S = 1.0
"""In which a client may close its side, once the service has closed its own."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """What uvicorn is given as `ws`. `app/server/timeouts.py` looks at it like at all connections."""

    config: Config
    _unsent = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol.connection_made`."""
        super().connection_made(transport)
        self._since = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol.connection_lost`."""
        super().connection_lost(exc)
        balancer: ConnectionBalancer | None = self.app_state.get("balancer")
        if balancer is not None:
            balancer.publish(len(self.connections))

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol.data_received`. The first data is the request as a whole."""
        super().data_received(data)
        if not self.handshake_initiated:
            self.handshake_initiated = self.handshake_complete = self.close_sent = True
            refused = Malformed("A WebSocket begins with a GET request of at most 128 headers and 8 KiB a line.")
            self.transport.write(b"".join(self.conn.data_to_send()) or as_bytes(refused))
            self.transport.close()

    def check_deadline(self, now: float) -> None:
        """End the connection if its client has taken nothing of what it is sent for too long."""
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0 or unsent != self._unsent:
            self._unsent, self._since = unsent, now
        elif now - self._since > self.config.receive_timeout_s:
            self.transport.abort()

    def shutdown(self) -> None:
        """Answer what has come, and what comes in a moment, as it may be on its way; then close."""
        if self.close_sent:
            super().shutdown()
        else:
            self.close_timeout = _FAREWELL_S
            self.loop.call_later(LINGER_S, lambda: self.queue.put_nowait(_STOP))

    async def receive(self) -> ASGIReceiveEvent:
        """See `WebSocketsSansIOProtocol`. The end of the service stands behind all messages that came before it."""
        if not self.queue.empty():
            await asyncio.sleep(0)  # a message a turn: there may be thousands, and others have theirs between
        message = await super().receive()
        if message is _STOP and not self.close_sent:
            for _ in range(2):
                await asyncio.sleep(0)  # in which the event loop reads what the system has kept for it
            if not self.queue.empty():
                self.queue.put_nowait(_STOP)
                return await self.receive()
            with suppress(ClientDisconnected):
                await self.send({"type": "websocket.close", "code": _RESTART})
        return message
