"""Inline answers: small requests answered in the parser's callback, without a task, ASGI or a turn of the event loop.

For a small forecast, uvicorn's way from the parser to an application and back takes longer than the forecast and all
that is counted of it. Here, a request to /predict or /generate of little work is answered as soon as its last byte has
been read. Every other request goes on to the application. This is an optimisation, never a second behaviour: the work
is `Endpoint.respond_synchronously`, the records are those of every request, and a property test compares the answers.
"""

from collections.abc import Callable, Iterable
from typing import Any

from app.api.endpoints import Endpoint
from app.engine.reload import Serving
from app.errors import ClientGone
from app.problems import problem_of, problem_response
from app.server.responses import STATUS_LINES, header_lines
from app.telemetry.context import clear
from app.telemetry.middleware import Recorder

Headers = list[tuple[bytes, bytes]]
Send = Callable[[bytes], object]


class InlineResponder:
    """The inline answers of one worker."""

    def __init__(
        self, serving: Serving, endpoints: Iterable[Endpoint[Any]], recorder: Recorder, max_body_bytes: int
    ) -> None:
        """Requests with larger bodies than `max_body_bytes` are left to the application."""
        self._serving = serving
        self._recorder = recorder
        self._max_body_bytes = max_body_bytes
        self._endpoints = {endpoint.path.encode(): endpoint for endpoint in endpoints}
        self._defaults: Headers = []
        self._default_lines = b""

    def takes(self, url: bytes, headers: Headers) -> bool:
        """Return whether a POST request may be answered inline. Its body has to be complete then."""
        if url not in self._endpoints:
            return False
        length = None
        for name, value in headers:
            if name == b"content-length":
                length = value
            elif name == b"content-encoding":
                return False
        # The HTTP parser has checked that the length is a number.
        return length is not None and int(length) <= self._max_body_bytes

    def answer(self, url: bytes, headers: Headers, body: bytes, began_s: float, defaults: Headers, send: Send) -> bool:
        """Send the response, or return False if the request has to wait for its turn.

        Args:
            url: one that `takes` has accepted, with these `headers`.
            began_s: when the head of the request was complete, on the clock of `time.perf_counter`.
            defaults: header fields of every response.
            send: takes the whole response.
        """
        endpoint = self._endpoints[url]
        content_type = next((value for name, value in headers if name == b"content-type"), b"")
        context = self._recorder.begin(endpoint.path, headers)
        context.began_s = began_s
        try:
            answer = endpoint.respond_synchronously(content_type.decode("latin-1"), body, self._serving.repository())
            if answer is None:
                return False
            content, served = answer
            own = [served.version, (b"content-length", b"%d" % len(content)), (b"content-type", b"application/json")]
            context.status = 200
        except Exception as error:
            problem = problem_response(problem_of(error, f"POST {endpoint.path}"))
            content, own, context.status = bytes(problem.body), problem.raw_headers, problem.status_code
        finally:
            clear()
        if defaults is not self._defaults:  # uvicorn makes a new list of them once a second
            self._defaults, self._default_lines = defaults, header_lines(defaults)
        lines = self._default_lines + header_lines(own)
        send(b"%b%bx-request-id: %b\r\n\r\n%b" % (STATUS_LINES[context.status], lines, context.id, content))
        self._recorder.finish(context)
        return True

    def record_gone(self, url: bytes, headers: Headers, began_s: float) -> None:
        """Record a request whose client left before its body was complete. The arguments are those of `answer`."""
        context = self._recorder.begin(self._endpoints[url].path, headers)
        clear()
        context.began_s, context.status, context.reason = began_s, ClientGone.status, ClientGone.reason
        self._recorder.finish(context)
