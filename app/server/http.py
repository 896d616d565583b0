"""The HTTP edge: uvicorn's protocol, with what a service needs that strangers can reach.

`HttpProtocol.on_headers_complete` decides on every request: a violation of HTTP gets 400, surplus load 503, a small
forecast is held for an inline answer, and everything else goes to the application. Beside that, the protocol gives
connections deadlines, limits what a request may send that is of no use, and lets no answer be lost at the end.

This module and `app/server/websocket.py` are all that depends on uvicorn's internals; `docs/decisions/uvicorn.md` says
why, and a test holds the source that is subclassed. `SINE_HTTP=uvicorn` serves without both.
"""

import asyncio
import time
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.errors import HeadTooLarge, Malformed, Overloaded, Problem, RequestTimeout
from app.problems import protocol_of
from app.server.coalescing import CoalescingTransport, coalescing
from app.server.conformance import violation
from app.server.edge import Edge
from app.server.inline import Immediate
from app.server.responses import refusal
from app.server.timeouts import LINGER_S, Deadline, watch

HEAD_BYTES = 65_536
"""A request may have so many bytes in its head and around its chunks."""

FRAMING_ALLOWANCE = 16
"""Framing bytes tolerated for each byte of a chunk's content: a chunk may have one byte, and its size be padded."""

UNWANTED_BYTES = 16_777_216
"""The connection of a request that has been answered is closed after so many more bytes of it.

They are read until then, because a client may send all of its request before it reads, and closing loses the answer.
"""


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    transport: CoalescingTransport  # type: ignore[assignment]

    # The life of a connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(coalescing(transport, self.loop))  # type: ignore[arg-type]
        self._edge: Edge = self.app_state["edge"]
        self._malformed = Malformed()
        self._held: Immediate | None = None  # the endpoint of a request whose head waits for its body
        self._held_body = b""
        self._unused_bytes = 0
        self._draining = False
        self._deadline = Deadline(self._edge.receive_timeout_s, _FIRST_REQUEST, self.loop.time())
        watch(self.loop, self.connections)  # type: ignore[arg-type]
        self._edge.publish_connections(len(self.connections))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._held:
            endpoint, self._held = self._held, None
            self._edge.inline.record_gone(endpoint, self.headers, self._head_s)
        super().connection_lost(exc)
        self._edge.publish_connections(len(self.connections))

    def shutdown(self) -> None:
        """Finish what has begun, and take one more request that may be on its way already.

        Uvicorn closes an idle connection at once, and what its client has just sent is lost.
        """
        if self._held:
            self._hand_on()  # a request whose body is on its way has been accepted
        self._draining = True
        if self._has_answered():
            self.loop.call_later(LINGER_S, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def _close_if_idle(self) -> None:
        if self._has_answered():
            self.transport.close_now()

    # The life of a request

    def data_received(self, data: bytes) -> None:
        """Parse `data`, then count the bytes that were neither content nor wanted."""
        rest: bytes | memoryview | None = data
        try:
            while rest is not None:
                rest = self._parse(rest)
        except HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self._refuse(self._malformed)
        in_head = self._in_head()
        if not (in_head or self.transport.receiving):
            self._unused_bytes = 0
            return
        self._unused_bytes = max(0, self._unused_bytes + len(data))
        if in_head or not self._has_answered():
            if self._unused_bytes > HEAD_BYTES:
                self._refuse(HeadTooLarge(HEAD_BYTES))
        elif self._unused_bytes > UNWANTED_BYTES:
            self.transport.close_now()

    def _parse(self, data: bytes | memoryview) -> memoryview | None:
        """Parse `data`, and return what is left of it after the head of a request whose Upgrade is ignored.

        The parser stops after the head of every request with Upgrade, and leaves out the body. A server may ignore that
        header (RFC 9110, 7.8). So a new parser reads the head again without it. It checks and frames the body in the
        same way as any other. Raises HttpParserError.
        """
        try:
            self.parser.feed_data(data)
        except HttpParserUpgrade as paused:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            elif not self._is_tunnel():
                head = [b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, self._version().encode())]
                head += [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
                self.parser = HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as in uvicorn's constructor
                self.parser.feed_data(b"%b\r\n" % b"".join(head))
                return memoryview(data)[paused.args[0] :]
        return None

    def on_headers_complete(self) -> None:
        """Decide what becomes of the request. An exception ends the parsing, and is answered with 400."""
        upgrade, answering = self.parser.should_upgrade(), not self._has_answered()
        if upgrade and not (self._should_upgrade() or self._is_tunnel()):
            return  # `_parse` reads the head again
        why = violation(self.headers, self._version, upgrade, answering)
        if why:
            self._malformed = Malformed(why)
            raise self._malformed
        can_answer = not (answering or upgrade) and self.parser.get_method() == b"POST"
        if not self._edge.shedder.takes() and can_answer:
            self._shed()
        elif can_answer and (endpoint := self._inline_endpoint()):
            self._held, self._head_s = endpoint, time.perf_counter()
        else:
            self._hand_on()

    def on_chunk_header(self) -> None:
        """Drop the trailer of a chunked body, which the parser would append to the headers without limit."""
        self.headers = _NOWHERE

    def on_body(self, body: bytes) -> None:
        if self._held:
            self._held_body += body
            return
        if not self._has_answered():
            self._unused_bytes -= FRAMING_ALLOWANCE * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._held:
            defaults, send = self.server_state.default_headers, self.transport.write_answer
            if self._edge.inline.answer(self._held, self.headers, self._held_body, self._head_s, defaults, send):
                self._held, self._held_body = None, b""
                return self._complete()
            self._hand_on()
        if not self._in_head():  # a request with Upgrade has only a head here
            super().on_message_complete()
        self.transport.received()
        self._unused_bytes = 0

    def on_response_complete(self) -> None:
        """Start the next request of the pipeline. This is uvicorn's method without its timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    # The ways of a request

    def _shed(self) -> None:
        """Refuse a request without doing anything for it."""
        path = self.url.partition(b"?")[0].decode("latin-1")
        keep_alive = self._keeps_alive()
        self.transport.receiving = True
        self.transport.write(_overloaded(protocol_of(path), keep_alive))
        self._complete()
        if not keep_alive:
            self.transport.close()
        self._edge.record_shed(path)

    def _inline_endpoint(self) -> Immediate | None:
        """Return the endpoint that may answer the request inline, or None."""
        endpoint = self._edge.inline.endpoint_for(self.url, self.headers)
        blocked = self.expect_100_continue or self.flow.write_paused or self.transport.is_closing()
        return endpoint if endpoint and self._keeps_alive() and not blocked else None

    def _hand_on(self) -> None:
        """Give the request to the application. One that was held goes as if its head had come only now."""
        self._held, body, self._held_body = None, self._held_body, b""
        if self._version() != "1.1":
            self.expect_100_continue = False  # only HTTP/1.1 has it
        super().on_headers_complete()
        self.transport.receiving = True
        if self.cycle is not None and not self._keeps_alive():
            self.cycle.keep_alive = False
        if body:
            self.on_body(body)

    def _keeps_alive(self) -> bool:
        """Return whether the connection stays open after the answer.

        Only HTTP/1.1 keeps it open, as in uvicorn. The parser does not read on after a request for a tunnel.
        """
        parser = self.parser
        return (
            parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
            and not (self._draining or parser.should_upgrade())
        )

    def _version(self) -> str:
        """Return the version of HTTP in the request, such as 1.1."""
        return self.parser.get_http_version()

    def _should_upgrade(self) -> bool:
        """Return whether a request with Upgrade asks for a WebSocket alone. HTTP/1.0 has no Upgrade (RFC 9110, 7.8)."""
        offers = [value.lower() for name, value in self.headers if name == b"upgrade"]
        return offers == [b"websocket"] and self._version() == "1.1"

    def _is_tunnel(self) -> bool:
        return self.parser.get_method() == b"CONNECT"

    def _complete(self) -> None:
        """Mark the request as answered without the application."""
        self.cycle = CompletedCycle(self.scope)  # type: ignore[assignment]
        self.on_response_complete()

    def _refuse(self, problem: Problem) -> None:
        """Answer in the application's place, unless it has begun to answer, and close."""
        if self.transport.is_closing():
            return
        if not (self.transport.receiving if self._has_answered() else self.cycle.response_started):
            self.transport.write(refusal(problem))
        self.transport.close_now()

    # The deadline of the connection

    def check_deadline(self, now_s: float) -> None:
        awaited = self._waiting_for()
        if not self._deadline.has_passed(awaited, now_s):
            return
        if awaited is self.scope:
            self._refuse(RequestTimeout(self._edge.receive_timeout_s))
        else:  # there is no request to answer, or the client does not take the answer
            self.transport.abort()

    def _waiting_for(self) -> object:
        """Return what the client has to do: send the rest of a request, take its answer, or begin. None for nothing."""
        if self.flow.write_paused:
            return self.transport.get_write_buffer_size()
        answering = not self._has_answered()
        if self._held or self._in_head() or (answering and self.transport.receiving):
            return self.scope
        return None if answering else self.cycle or _FIRST_REQUEST  # an idle connection: the last request, answered

    def _has_answered(self) -> bool:
        """Return whether no request is being answered, so that a write overtakes no answer."""
        return self.cycle is None or self.cycle.response_complete

    def _in_head(self) -> bool:
        """Return whether the parser is inside the head of a request."""
        return not self._held and self.scope is not None and (self.cycle is None or self.cycle.scope is not self.scope)


@dataclass(slots=True)
class CompletedCycle:
    """The attributes that uvicorn reads of the last request, for one that was answered without an application."""

    scope: Any
    response_complete: ClassVar[bool] = True
    message_event: ClassVar[asyncio.Event] = asyncio.Event()  # uvicorn sets it, and nothing waits for it


class _Nowhere(list[tuple[bytes, bytes]]):
    """A list of headers that stays empty."""

    def append(self, header: tuple[bytes, bytes], /) -> None:
        """Drop `header`."""


_NOWHERE = _Nowhere()

_FIRST_REQUEST = object()
"""A new connection waits for this. A reference to the connection would keep it alive, with all that it was sent."""


@cache
def _overloaded(protocol: str, keep_alive: bool) -> bytes:
    return refusal(Overloaded(1), protocol, keep_alive)
