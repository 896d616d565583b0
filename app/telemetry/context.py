"""The context of a request while it is answered: its id, its cost, the reason of its refusal.

It is in a context variable, so that the code that works for a request finds it, and so does the code that logs.
"""

import itertools
import re
import secrets
import time
from collections.abc import Awaitable, Iterable, Iterator
from contextvars import ContextVar

from starlette.types import Message, Send

from app.telemetry.metrics import Route

_acceptable_id = re.compile(rb"[A-Za-z0-9._:/+=-]{1,128}").fullmatch
"""Accepts an id from a client that is short enough, and harmless in a header, a log and a shell."""

_traceparent = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
"""W3C Trace Context, https://www.w3.org/TR/trace-context/#traceparent-header. The group is the id of the trace."""


def _new_ids() -> Iterator[bytes]:
    prefix = secrets.token_hex(8).encode()  # of this process: random once, not for each request
    yield from map((prefix + b"-%x").__mod__, itertools.count())


_new_id = _new_ids().__next__


class RequestContext:
    """One request, or one WebSocket connection. It begins when this object is made."""

    __slots__ = ("_send", "began_s", "duration_s", "id", "owner", "reason", "route", "status", "trace_id", "work")

    def __init__(self, route: Route, headers: Iterable[tuple[bytes, bytes]], send: Send | None = None) -> None:
        """The id is the client's where that is acceptable, and a new one otherwise. `send` takes the messages of an
        application."""
        self.began_s = time.perf_counter()
        self.duration_s = 0.0
        self._send = send
        self.route = route
        self.status = 500  # a request that fails without an answer counts as this
        self.work = 0
        """Steps of the network that were executed for it."""
        self.reason = ""
        """Why it was refused. Empty if it was not."""
        self.id = self.trace_id = self.owner = b""  # empty where it has no trace, or needed no key
        for name, value in headers:
            if name == b"x-request-id" and _acceptable_id(value):
                self.id = value
            elif name == b"traceparent" and (trace := _traceparent(value)):
                self.trace_id = trace[1]
        if not self.id:
            self.id = _new_id()
        _current.set(self)

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message of the application. A coroutine around the server's would cost twice as much."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"].append((b"x-request-id", self.id))
        return self._send(message)  # type: ignore[misc]


_current: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)

current = _current.get
"""Returns the context of the request that is being answered. None outside of a request."""


def clear() -> None:
    """Forget the current request."""
    _current.set(None)


def count_work(steps: int) -> None:
    """Add steps that were executed for the current request, if there is one."""
    if (context := _current.get()) is not None:
        context.work += steps


def note_refusal(reason: str) -> None:
    """Note why the current request, if there is one, was refused."""
    if (context := _current.get()) is not None:
        context.reason = reason


def note_owner(owner: bytes) -> None:
    """Note who owns the key of the current request, if there is one."""
    if (context := _current.get()) is not None:
        context.owner = owner
