"""Uvicorn's HTTP protocol with one change: what is written in a turn of the event loop is sent together, at its end.

Uvicorn writes the head of an answer and its body apart, and uvloop hands each write to the kernel at once. That is two
system calls an answer, and each may have the kernel run the client in the middle of the server's turn, with cold caches
after it. Here the answers of a turn, with however many requests it had, go out back to back, in one call for each
connection. `python -m benchmarks.server` has what it gains.
"""

import asyncio
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_LARGE = 65_536
"""Bytes from which an answer does not wait: the transport's own flow control has to see it."""


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as HTTP/1.1 has them."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


class WriteQueue:
    """The connections of one event loop that have something to send at the end of its turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[CoalescingTransport] = []
        self._answers = self._answers_before = 0
        """Whole ones: of this turn, and of the last one that had any."""

    def add(self, transport: "CoalescingTransport") -> None:
        self._send_at_end()
        self._waiting.append(transport)

    def is_alone(self) -> bool:
        """Count a whole answer. Whether it is likely to be the only one of this turn, as the last one was of its."""
        self._send_at_end()
        self._answers += 1
        return self._answers == 1 and self._answers_before <= 1

    def _send_at_end(self) -> None:
        if not (self._waiting or self._answers):
            self._loop.call_soon(self._send)

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._answers:
            self._answers_before, self._answers = self._answers, 0
        for transport in waiting:
            transport.flush()


class CoalescingTransport:
    """A transport that keeps what is written to it until the end of the turn. All else is the real transport's."""

    def __init__(self, transport: asyncio.Transport, queue: WriteQueue) -> None:
        self._transport = transport
        self._queue = queue
        self._kept = b""
        self._closes = False
        self.receiving = False
        """Whether there is more to come of a request whose head has been read. For the protocol to say."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """See `asyncio.WriteTransport.write`."""
        if not self._kept:
            self._queue.add(self)
        self._kept += data
        if len(self._kept) > _LARGE:
            self.flush()

    def send(self, answer: bytes) -> None:
        """Write a whole answer: at once where it is alone, since it has nothing to wait for."""
        if self._queue.is_alone():
            self._kept += answer
            self.flush()
        else:
            self.write(answer)

    def flush(self) -> None:
        """Send what was kept, if that can be.

        What one connection raised would hold up, for ever, the answers on all others that were to go out behind it.
        """
        if self._kept:
            kept, self._kept = self._kept, b""
            try:
                self._transport.write(kept)
            except (RuntimeError, MemoryError):  # uvloop's, where the client has just gone; or there is no room
                self._transport.abort()

    def close(self) -> None:
        """Close when the last request has been read to its end.

        A connection that is closed with something in it that nobody has read is reset, and answers are lost with it.
        """
        self.flush()
        self._closes = True
        if not self.receiving:
            self._transport.close()

    def close_now(self) -> None:
        """See `asyncio.BaseTransport.close`: what was written before is sent."""
        self.flush()
        self._transport.close()

    def received(self) -> None:
        """Take note of the end of a request."""
        self.receiving = False
        if self._closes:
            self._transport.close()


_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, WriteQueue] = WeakKeyDictionary()


class Config(uvicorn.Config):
    """Uvicorn's settings, and one that it does not have (`app/server/timeouts.py`)."""

    receive_timeout_s = 30.0
    """Seconds that a client has to send a request as a whole, or to take something of its answer."""


class JoiningProtocol(HttpToolsProtocol):
    """Uvicorn's protocol on a `CoalescingTransport`."""

    joining: CoalescingTransport
    """What `transport` is."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        queue = _queues.get(self.loop)
        if queue is None:
            queue = _queues[self.loop] = WriteQueue(self.loop)
        self.joining = CoalescingTransport(transport, queue)
        super().connection_made(self.joining)  # type: ignore[arg-type]
