"""Inline answers: small requests answered in the parser's callback, without a task, ASGI or a turn of the event loop.

For a small forecast, uvicorn's way from the parser to an application and back takes longer than the forecast and all
that is counted of it. Here, a forecast of little work is answered as soon as the last byte of its request has been
read. Every other request goes on to the application. This is an optimisation, never a second behaviour: the work is
`respond_synchronously` of the endpoint, the records are those of every request, and property tests compare the answers.
"""

from collections.abc import Callable
from typing import Protocol

from app.api.exchange import RawHeaders, Written
from app.engine.reload import Serving
from app.engine.repository import Repository
from app.errors import ClientGone
from app.problems import problem_of, problem_response
from app.server.responses import STATUS_LINES, header_lines
from app.telemetry.context import clear
from app.telemetry.middleware import Recorder

Send = Callable[[bytes], object]

LARGEST_BODY = 65_536
"""A larger body is more work than can be done at once, so to read it here would be in vain."""


class Immediate(Protocol):
    """An endpoint that can answer at once."""

    @property
    def path(self) -> str:
        """The template of its route."""

    def respond_synchronously(self, headers: RawHeaders, body: bytes, repository: Repository) -> Written | None:
        """Return the answer to an uncompressed `body`; None to leave it to the application.

        Raises Problem if the request is refused.
        """


class InlineResponder:
    """The inline answers of one worker."""

    def __init__(
        self, serving: Serving, find: Callable[[bytes], Immediate | None], recorder: Recorder, max_body_bytes: int
    ) -> None:
        """`find` returns the endpoint at a URL, None if the application answers there.

        Requests with larger bodies than `max_body_bytes` are left to the application, which refuses them.
        """
        self._serving = serving
        self._find = find
        self._recorder = recorder
        self._largest = min(max_body_bytes, LARGEST_BODY)
        self._defaults: RawHeaders = []
        self._default_lines = b""

    def endpoint_for(self, url: bytes, headers: RawHeaders) -> Immediate | None:
        """Return the endpoint that may answer a POST request inline as soon as its body is complete, or None."""
        endpoint, length = self._find(url), None
        if endpoint is None:
            return None
        for name, value in headers:
            if name == b"content-length":
                length = value
            elif name == b"content-encoding":
                return None
        # The HTTP parser has checked that the length is a number.
        return endpoint if length is not None and int(length) <= self._largest else None

    def answer(
        self,
        endpoint: Immediate,
        headers: RawHeaders,
        body: bytes,
        began_s: float,
        defaults: RawHeaders,
        send: Send,
    ) -> bool:
        """Send the response, or return False if the request has to wait for its turn.

        Args:
            endpoint: what `endpoint_for` has returned for a request with these `headers`.
            began_s: when the head of the request was complete, on the clock of `time.perf_counter`.
            defaults: header fields of every response.
            send: takes the whole response.
        """
        context = self._recorder.begin(endpoint.path, headers)
        context.began_s = began_s
        try:
            answer = endpoint.respond_synchronously(headers, body, self._serving.repository())
            if answer is None:
                return False
            content, own = answer
            context.status = 200
        except Exception as error:
            problem = problem_response(problem_of(error, f"POST {endpoint.path}"), endpoint.path)
            content, own, context.status = bytes(problem.body), problem.raw_headers, problem.status_code
        finally:
            clear()
        if defaults is not self._defaults:  # uvicorn makes a new list of them once a second
            self._defaults, self._default_lines = defaults, header_lines(defaults)
        lines = self._default_lines + header_lines(own)
        send(b"%b%bx-request-id: %b\r\n\r\n%b" % (STATUS_LINES[context.status], lines, context.id, content))
        self._recorder.finish(context)
        return True

    def record_gone(self, endpoint: Immediate, headers: RawHeaders, began_s: float) -> None:
        """Record a request whose client left before its body was complete. The arguments are those of `answer`."""
        context = self._recorder.begin(endpoint.path, headers)
        clear()
        context.began_s, context.status, context.reason = began_s, ClientGone.status, ClientGone.reason
        self._recorder.finish(context)
