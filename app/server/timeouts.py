"""Deadlines of connections: how long a client may keep the service waiting.

Uvicorn waits for the rest of a request without limit, and keeps an answer for a client that has stopped reading. It
also starts and stops a timer for each request. Here, one timer of the event loop asks every connection once a second
what it waits for. A connection that waits for the same thing for too long has passed its deadline.

That protects memory and descriptors against slow clients. It does not protect the network against many of them: a
reverse proxy has to stand in front of a service that strangers can reach.
"""

import asyncio
from collections.abc import Set
from typing import Protocol
from weakref import WeakSet

LINGER_S = 0.5
"""Seconds for which an idle connection is kept after the service was told to stop."""

_INTERVAL_S = 1.0


class Deadline:
    """The deadline of one connection."""

    def __init__(self, limit_s: float, awaited: object, now_s: float) -> None:
        """The connection waits for `awaited` since `now_s`, and may do so for `limit_s` seconds."""
        self._limit_s = limit_s
        self._awaited = awaited
        self._since_s = now_s

    def has_passed(self, awaited: object, now_s: float) -> bool:
        """Return whether the connection has waited too long for `awaited`, which is None if it waits for nothing.

        A number stands for bytes that the client has yet to read: another number is progress. Any other object is
        compared by identity.
        """
        moved = awaited != self._awaited if isinstance(awaited, int) else awaited is not self._awaited
        if awaited is None or moved:
            self._awaited, self._since_s = awaited, now_s
        return now_s - self._since_s > self._limit_s


class Connection(Protocol):
    """A connection with a deadline."""

    def check_deadline(self, now_s: float) -> None:
        """End the connection if its deadline has passed. `now_s` is the time of the event loop."""


_watched: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


def watch(loop: asyncio.AbstractEventLoop, connections: Set[Connection]) -> None:
    """Check the deadlines of `connections` once a second, as long as there are any. Later calls change nothing."""
    if loop in _watched:
        return

    def check() -> None:
        now_s = loop.time()
        for connection in [*connections]:
            connection.check_deadline(now_s)
        if connections:
            schedule()
        else:
            _watched.discard(loop)

    def schedule() -> None:
        # Two turns late: a process that was kept from running reads first what has come in the meantime.
        loop.call_later(_INTERVAL_S, loop.call_soon, loop.call_soon, check)

    _watched.add(loop)
    schedule()
