"""How many requests a turn of the event loop takes; what comes on top of them is answered 503 before anything is done.

A request of little work is computed on the event loop, so under too many of them nothing waits in a queue that
`app/engine/admission.py` could look at: requests wait in their sockets, each turn of the loop finds more of them, and
takes longer. Here a turn takes no more of them once it has worked for twice `max_pending_s`. Work that begins only when
a turn has read its requests is not seen by that; so a turn that has taken longer than that makes the next ones take
fewer requests, fast, and any other makes them take more, slowly. The time is the processor's, not the clock's: on a
busy machine turns take longer, but would not with fewer requests.

A few hundred connections that each wait for their answer never make a turn that long, and nothing is refused. Refused
are POST requests only, which are those that cost something: health and metrics are answered under any load. A refusal
has no id and no line in the access log, or it would cost three times as much; it is counted.
"""

import asyncio
import time
from collections.abc import Callable
from functools import cache

from app.errors import Overloaded
from app.problems import is_open_inference
from app.server.balancing import ConnectionBalancer
from app.server.inline import CompletedCycle, DirectProtocol
from app.server.timeouts import as_bytes

MOST = 512
"""Requests that a turn takes at most, however little each of them is."""

_FALL, _RISE = 1 / 1.5, 1.1

_LOOKS = 8
"""Requests after which the clock is looked at: it takes almost a microsecond."""

_FORGETS_S = 1.0
"""Without a request, after which a turn takes `MOST` again."""


class LoadShedder:
    """Counts the requests of each turn of one event loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, turn_s: float, on_refusal: Callable[[str], object] = lambda path: None
    ) -> None:
        """`turn_s` is how long a turn may take, in seconds of the processor; `on_refusal` is told each path."""
        self.limit = float(MOST)
        """Requests that this turn takes, unless they take too long."""

        self.on_refusal = on_refusal
        self._loop = loop
        self._turn_s = turn_s
        self._taken = self._taken_before = 0
        self._is_full = False
        self._began_s = 0.0
        self._watching = False
        self._idle_since_s = 0.0

    def takes(self) -> bool:
        """Whether there is room for one more request in this turn."""
        if not self._watching:
            self._watch()
        if self._is_full:
            return False
        self._taken += 1
        if self._taken % _LOOKS == 0:
            self._is_full = time.thread_time() - self._began_s > self._turn_s
        self._is_full |= self._taken + 1 > self.limit
        return True

    def _watch(self) -> None:
        self._watching = True
        self._began_s = time.thread_time()
        self._loop.call_soon(self._turn)
        if self._loop.time() - self._idle_since_s > _FORGETS_S:
            self.limit = MOST

    def _turn(self) -> None:
        """A turn ends where requests have been read: it worked on those of its own that are answered where they are
        parsed (`app/server/inline.py`), and of the last one on all others. Turns that are too long come in rows, alike.
        """
        now_s = time.thread_time()
        took_s = now_s - self._began_s
        if took_s > self._turn_s:
            self.limit = max(self._taken_before * self._turn_s / took_s, self.limit * _FALL, 1.0)
        else:
            self.limit = min(self.limit * _RISE, MOST)
        if self._taken or self._taken_before:
            self._loop.call_soon(self._turn)
        else:
            self._watching, self._idle_since_s = False, self._loop.time()
        self._began_s, self._taken_before, self._taken, self._is_full = now_s, self._taken, 0, False


class DoorProtocol(DirectProtocol):
    """What uvicorn is given as `http`. Shedder and balancer are in the state of the application's lifespan."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._shedder: LoadShedder | None = self.app_state.get("shedder")
        self._balancer: ConnectionBalancer | None = self.app_state.get("balancer")
        if self._balancer is not None:
            self._balancer.opened(len(self.connections))

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol.connection_lost`."""
        super().connection_lost(exc)
        if self._balancer is not None:
            self._balancer.publish(len(self.connections))

    def on_headers_complete(self) -> None:
        """See `HttpToolsProtocol`."""
        if self._shedder is None or self._shedder.takes() or not self._may_be_refused():
            super().on_headers_complete()
        else:
            self._turn_away(self._shedder)

    def _may_be_refused(self) -> bool:
        return self.has_answered() and self.parser.get_method() == b"POST" and not self.parser.should_upgrade()

    def _turn_away(self, shedder: LoadShedder) -> None:
        path = self.url.partition(b"?")[0].decode("latin-1")
        keeps = self.parser.should_keep_alive() and not self._draining
        self.cycle = CompletedCycle(self.scope)  # type: ignore[assignment]
        self.joining.receiving = True
        self.transport.write(_refusal(is_open_inference(path), keeps))
        self.on_response_complete()
        if not keeps:
            self.transport.close()
        shedder.on_refusal(path)


@cache
def _refusal(open_inference: bool, keeps: bool) -> bytes:
    return as_bytes(Overloaded(1), "/v2" if open_inference else "", keeps)
