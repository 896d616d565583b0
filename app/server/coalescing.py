"""One write for each connection and turn of the event loop.

Uvicorn writes the head of an answer and its body apart, and uvloop hands each write to the kernel at once. That is two
system calls an answer. Each of them may switch to the client in the middle of the server's turn, which leaves the
processor's caches cold. Here, the answers of a turn go out together at its end, in one call for each connection.
`python -m benchmarks.server` measures the gain.
"""

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

_LARGE = 65_536
"""Bytes above which a write is sent at once, because the transport's own flow control has to see it."""


class WriteQueue:
    """The connections of one event loop that have something to send at the end of its turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[CoalescingTransport] = []
        self._answers = self._answers_before = 0
        """Whole answers of this turn, and of the last turn that had any."""

    def add(self, transport: "CoalescingTransport") -> None:
        """Flush `transport` at the end of the turn."""
        self._schedule()
        self._waiting.append(transport)

    def is_alone(self) -> bool:
        """Count a whole answer. Return whether it is likely to be the only one of its turn, as in the turn before."""
        self._schedule()
        self._answers += 1
        return self._answers == 1 and self._answers_before <= 1

    def _schedule(self) -> None:
        if not (self._waiting or self._answers):
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if self._answers:
            self._answers_before, self._answers = self._answers, 0
        for transport in waiting:
            transport.flush()


class CoalescingTransport:
    """A transport that keeps its writes until the end of the turn. Everything else goes to the real transport."""

    def __init__(self, transport: asyncio.Transport, queue: WriteQueue) -> None:
        self._transport = transport
        self._queue = queue
        self._kept = b""
        self._closes = False
        self.receiving = False
        """True if the rest of a request is to come whose head has been read. The protocol sets it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._kept:
            self._queue.add(self)
        self._kept += data
        if len(self._kept) > _LARGE:
            self.flush()

    def write_answer(self, answer: bytes) -> None:
        """Write a whole answer. It is sent at once if it is alone, because then there is nothing to wait for."""
        if self._queue.is_alone():
            self._kept += answer
            self.flush()
        else:
            self.write(answer)

    def flush(self) -> None:
        """Send what was kept. An error ends this connection alone, so that the answers of the others still go out."""
        if self._kept:
            kept, self._kept = self._kept, b""
            try:
                self._transport.write(kept)
            except (RuntimeError, MemoryError):  # uvloop's error for a client that has just gone, or no memory
                self._transport.abort()

    def close(self) -> None:
        """Close when the last request has been read to its end.

        The system resets a connection that is closed with unread bytes, and the answers on it are lost.
        """
        self.flush()
        self._closes = True
        if not self.receiving:
            self._transport.close()

    def close_now(self) -> None:
        """Send what was kept, then close. See `asyncio.BaseTransport.close`."""
        self.flush()
        self._transport.close()

    def received(self) -> None:
        """Note the end of a request."""
        self.receiving = False
        if self._closes:
            self._transport.close()


_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, WriteQueue] = WeakKeyDictionary()


def coalescing(transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> CoalescingTransport:
    """Put `transport` behind the write queue of its event loop."""
    queue = _queues.get(loop)
    if queue is None:
        queue = _queues[loop] = WriteQueue(loop)
    return CoalescingTransport(transport, queue)
