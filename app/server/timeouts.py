"""How long a connection may keep the service waiting, and how much it may send that is of no use.

Uvicorn waits for the rest of a request as long as it takes, keeps every byte of a head that does not end, and holds an
answer for a client that has stopped reading. Here a request that is not there as a whole in time is answered 408, a
head that is too large, or chunks that are all frame and no content, 431, and a connection that takes nothing of its
answer for as long is dropped. What comes of a body after its answer is read, since who sends it may not read before its
end; but not without end. That protects memory and descriptors from slow clients, not the network from many of them: a
reverse proxy has to stand in front of a service that strangers can reach.

Nothing of this is done for each request, and neither is what uvicorn does, to start a timer after each and stop it
before the next. Once a second, every connection is asked what it waits for; what it has waited for since the last time
as well is counted on.
"""

import asyncio
from typing import Any
from weakref import WeakSet

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.errors import HeadTooLarge, Problem, RequestTimeout
from app.problems import problem_response
from app.server.coalescing import Config, JoiningProtocol, header_lines

HEAD_BYTES = 65_536
"""That a request may have in its head and around its chunks."""
FRAMING_ALLOWANCE = 16
"""Times its size that a chunk may have around it without being counted: it may be of one byte, and its size padded."""
UNWANTED_BYTES = 16_777_216
"""That may come of a request that has been answered: a connection that is closed earlier loses the answer with it."""

LINGER_S = 0.5
"""Seconds that a connection between two requests is kept after the service was told to stop."""
_EVERY_S = 1.0
_A_REQUEST = object()
"""What a new connection waits for. Not the connection itself: it would keep itself alive, with all that it was sent."""


class PatientProtocol(JoiningProtocol):
    """Uvicorn's protocol with our own `Config`."""

    config: Config

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._unused_bytes = 0
        self._draining = False
        self._awaited: object = _A_REQUEST
        self._since = self.loop.time()
        _watch(self.loop, self.connections)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol.data_received`."""
        super().data_received(data)
        in_head = self._in_head()
        if not (in_head or self.joining.receiving):
            self._unused_bytes = 0
            return
        self._unused_bytes = max(0, self._unused_bytes + len(data))
        if in_head or not self.has_answered():
            if self._unused_bytes > HEAD_BYTES:
                self._refuse(HeadTooLarge(HEAD_BYTES))
        elif self._unused_bytes > UNWANTED_BYTES:
            self.joining.close_now()

    def on_body(self, body: bytes) -> None:
        """See `HttpToolsProtocol`."""
        if not self.has_answered():
            self._unused_bytes -= FRAMING_ALLOWANCE * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See `HttpToolsProtocol`."""
        super().on_message_complete()
        self.joining.received()
        self._unused_bytes = 0

    def on_headers_complete(self) -> None:
        """See `HttpToolsProtocol`."""
        super().on_headers_complete()
        self.joining.receiving = True
        if self._draining and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        """See `HttpToolsProtocol`, without its timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def shutdown(self) -> None:
        """Finish what has begun, and take one more request that may be on its way already.

        Uvicorn closes a connection between two requests at once; what its client has just sent is lost then.
        """
        self._draining = True
        if self.has_answered():
            self.loop.call_later(LINGER_S, self._close_between_requests)
        else:
            self.cycle.keep_alive = False

    def has_answered(self) -> bool:
        """Whether no request is being answered: what is written now overtakes no answer."""
        return self.cycle is None or self.cycle.response_complete

    def _close_between_requests(self) -> None:
        if self.has_answered():
            self.joining.close_now()

    def check_deadline(self, now: float) -> None:
        """End the connection if it has kept the service waiting for one thing for too long."""
        awaited = self.waiting_for()
        # Requests may look the same, so they are compared by what they are; what is unsent is a number.
        moved = awaited != self._awaited if isinstance(awaited, int) else awaited is not self._awaited
        if awaited is None or moved:
            self._awaited, self._since = awaited, now
        elif now - self._since > self.config.receive_timeout_s:
            if awaited is self.scope:
                self._refuse(RequestTimeout(self.config.receive_timeout_s))
            else:  # there is no request to answer, or nobody takes the answer
                self.transport.abort()

    def waiting_for(self) -> object:
        """What the client has to do now: send the rest of a request, take its answer, or begin; None for nothing."""
        if self.flow.write_paused:
            return self.transport.get_write_buffer_size()
        answering = not self.has_answered()
        if self._in_head() or (answering and self.joining.receiving):
            return self.scope
        return None if answering else self.cycle or _A_REQUEST  # between two requests, the one that was answered

    def _in_head(self) -> bool:
        return self.scope is not None and (self.cycle is None or self.cycle.scope is not self.scope)

    def _refuse(self, problem: Problem) -> None:
        """Answer in the application's place, unless it has begun to, and close."""
        if self.transport.is_closing():
            return
        if not (self.joining.receiving if self.has_answered() else self.cycle.response_started):
            self.transport.write(as_bytes(problem))
        self.joining.close_now()


def as_bytes(problem: Problem, path: str = "", keeps: bool = False) -> bytes:
    """The answer to a request for `path`, for where there is no application; `keeps` leaves the connection open."""
    response = problem_response(problem, path)
    lines = header_lines(response.raw_headers) + (b"" if keeps else b"connection: close\r\n")
    return STATUS_LINE[response.status_code] + lines + b"\r\n" + bytes(response.body)


_watched: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


def _watch(loop: asyncio.AbstractEventLoop, connections: set[Any]) -> None:
    """Look at all connections of `loop` from now on, as long as there are any."""
    if loop in _watched:
        return

    def look() -> None:
        now = loop.time()
        for connection in [*connections]:
            connection.check_deadline(now)
        if connections:
            look_later()
        else:
            _watched.discard(loop)

    def look_later() -> None:
        # A turn after it is due, in which is read what came while the process was kept from running.
        loop.call_later(_EVERY_S, loop.call_soon, loop.call_soon, look)

    _watched.add(loop)
    look_later()
