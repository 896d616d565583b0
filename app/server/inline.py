"""Small requests answered where they are parsed: no task, no ASGI, no turn of the event loop in between.

For a small forecast, uvicorn's way from the parser to an application and back takes longer than the forecast and all
that is counted of it. Here a request to /predict or /generate whose work is done at once, on the event loop, is
answered as soon as its last byte has been read. Every other one goes on to the application, as if it had come only
then: what has to wait, what has no length or too large a one, what is pipelined behind an answer that waits. It is the
    hot path (`app/api/hotpath.py`) one layer further out, held to the same answers by the same property test: what is
    done with a body is `Endpoint.respond_synchronously`, and what is counted of a request is in the `RequestContext`
    that it has on every way.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

from starlette.datastructures import State
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.api.endpoints import Endpoint
from app.engine.repository import serving
from app.errors import ClientGone
from app.problems import problem_of, problem_response
from app.server.coalescing import header_lines
from app.server.conformance import StrictProtocol
from app.telemetry.context import leave
from app.telemetry.middleware import ObservingMiddleware

Headers = list[tuple[bytes, bytes]]
Send = Callable[[bytes], object]


class InlineResponder:
    """What answers, for all connections of one event loop."""

    def __init__(
        self, state: State, endpoints: Iterable[Endpoint[Any]], observing: ObservingMiddleware, max_body_bytes: int
    ) -> None:
        """`state` is the application's. A larger body is left to it."""
        self._state = state
        self._observing = observing
        self._max = max_body_bytes
        self._endpoints = {endpoint.path.encode(): endpoint for endpoint in endpoints}
        self._defaults: Headers = []
        self._default_lines = b""

    def takes(self, url: bytes, headers: Headers) -> bool:
        """Whether a POST request may be one to answer here. Its body is then needed as a whole."""
        if url not in self._endpoints:
            return False
        length = next((value for name, value in headers if name == b"content-length"), None)
        return length is not None and int(length) <= self._max  # that it is a number, the HTTP parser has checked

    def answer(self, url: bytes, headers: Headers, body: bytes, began_s: float, defaults: Headers, send: Send) -> bool:
        """Send the response, with the headers in `defaults`; False where the work has to wait for its turn.

        `began_s` is when the request's head was there, by `time.perf_counter`.
        """
        endpoint = self._endpoints[url]
        content_type = next((value for name, value in headers if name == b"content-type"), b"")
        context = self._observing.begin(endpoint.path, headers)
        context.began_s = began_s
        try:
            answer = endpoint.respond_synchronously(content_type.decode("latin-1"), body, serving(self._state))
            if answer is None:
                return False
            content, served = answer
            own = [served.version, (b"content-length", b"%d" % len(content)), (b"content-type", b"application/json")]
            context.status = 200
        except Exception as error:
            problem = problem_response(problem_of(error, f"POST {endpoint.path}"))
            content, own, context.status = bytes(problem.body), problem.raw_headers, problem.status_code
        finally:
            leave()
        if defaults is not self._defaults:  # uvicorn makes a new list of them once a second
            self._defaults, self._default_lines = defaults, header_lines(defaults)
        lines = self._default_lines + header_lines(own)
        send(b"%b%bx-request-id: %b\r\n\r\n%b" % (STATUS_LINE[context.status], lines, context.id, content))
        self._observing.finish(context)
        return True

    def gone(self, url: bytes, headers: Headers, began_s: float) -> None:
        """Count a request whose client left before its body was there."""
        context = self._observing.begin(self._endpoints[url].path, headers)
        leave()
        context.began_s, context.status, context.reason = began_s, ClientGone.status, ClientGone.reason
        self._observing.finish(context)


class DirectProtocol(StrictProtocol):
    """Holds back the head of a request that may be answered here until its body is there."""

    _held = False
    _direct: InlineResponder | None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._direct = self.app_state.get("direct")
        self._parts = b""

    def connection_lost(self, exc: Exception | None) -> None:
        """See `HttpToolsProtocol`."""
        if self._held and self._direct is not None:
            self._held = False
            self._direct.gone(self.url, self.headers, self._head_s)
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        """See `HttpToolsProtocol`."""
        self._held = self._may_answer()
        if self._held:
            self._head_s = time.perf_counter()
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """See `HttpToolsProtocol`."""
        if self._held:
            self._parts += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """See `HttpToolsProtocol`."""
        if self._held and self._direct is not None:
            defaults, send = self.server_state.default_headers, self.joining.send
            if self._direct.answer(self.url, self.headers, self._parts, self._head_s, defaults, send):
                self._held, self._parts = False, b""
                self.cycle = CompletedCycle(self.scope)  # type: ignore[assignment]
                return self.on_response_complete()
            self._hand_on()
        super().on_message_complete()

    def shutdown(self) -> None:
        """See `PatientProtocol`. A request whose body is on its way has been accepted."""
        if self._held:
            self._hand_on()
        super().shutdown()

    def _hand_on(self) -> None:
        """Let the application have the request, as if its head had come only now."""
        self._held, body, self._parts = False, self._parts, b""
        super().on_headers_complete()
        super().on_body(body)

    def _may_answer(self) -> bool:
        return (
            self._direct is not None
            and self.parser.get_method() == b"POST"
            and self.has_answered()
            and self._direct.takes(self.url, self.headers)
            and self.parser.should_keep_alive()
            and not (self.parser.should_upgrade() or self.expect_100_continue or self.violation())
            and not (self._draining or self.flow.write_paused or self.transport.is_closing())
        )

    def _in_head(self) -> bool:
        return not self._held and super()._in_head()

    def waiting_for(self) -> object:
        return self.scope if self._held else super().waiting_for()


class CompletedCycle:
    """What uvicorn looks at in a request that was answered without an application."""

    response_complete = True
    message_event = asyncio.Event()
    """Nobody waits for it."""

    __slots__ = ("scope",)

    def __init__(self, scope: Any) -> None:
        self.scope = scope
