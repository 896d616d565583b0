"""Load shedding: how many requests a turn of the event loop takes. The rest get 503 before anything is done for them.

A request of little work is computed on the event loop. Under too many of them, nothing waits in a queue that
`app/engine/admission.py` could see: requests wait in their sockets, each turn of the loop finds more of them, and takes
longer. So a turn takes no more requests once it has worked for its time, which is twice `max_pending_s`. Work that
begins only after a turn has read its requests escapes that rule. Therefore a turn that took longer than its time makes
the next turns take fewer requests, fast, and any other turn makes them take more, slowly. The time is the processor's:
by the clock, turns take longer on a busy machine too, and would not with fewer requests.

A few hundred connections that each wait for their answer never make a turn that long, and none of them is refused. Only
POST requests are refused, because only they cost something: health and metrics are answered under any load. A refusal
has neither an id nor a line in the access log, which would triple its cost. It is counted.
"""

import asyncio
import time

MAX_TAKEN = 512
"""A turn takes at most so many requests, however little work each of them is."""

_FALL, _RISE = 1 / 1.5, 1.1

_CHECK_EVERY = 8
"""The clock is read after so many requests, because reading it takes almost a microsecond."""

_FORGET_S = 1.0
"""After so many seconds without a request, a turn takes `MAX_TAKEN` again."""


class LoadShedder:
    """The count of requests in each turn of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, turn_s: float) -> None:
        """`turn_s` is how long a turn may take, in seconds of the processor."""
        self.limit = float(MAX_TAKEN)
        """Requests that this turn takes, unless they take too long."""

        self._loop = loop
        self._turn_s = turn_s
        self._taken = self._taken_before = 0
        self._is_full = False
        self._began_s = 0.0
        self._watching = False
        self._idle_since_s = 0.0

    def takes(self) -> bool:
        """Take one more request into this turn. Return False if there is no room for it."""
        if not self._watching:
            self._watch()
        if self._is_full:
            return False
        self._taken += 1
        if self._taken % _CHECK_EVERY == 0:
            self._is_full = time.thread_time() - self._began_s > self._turn_s
        self._is_full |= self._taken + 1 > self.limit
        return True

    def _watch(self) -> None:
        self._watching = True
        self._began_s = time.thread_time()
        self._loop.call_soon(self._end_turn)
        if self._loop.time() - self._idle_since_s > _FORGET_S:
            self.limit = MAX_TAKEN

    def _end_turn(self) -> None:
        """Judge the turn that ends here, where its requests have been read.

        It computed its own inline answers (`app/server/inline.py`), and the work of the turn before for all others.
        Long turns come in rows, alike.
        """
        now_s = time.thread_time()
        took_s = now_s - self._began_s
        if took_s > self._turn_s:
            self.limit = max(self._taken_before * self._turn_s / took_s, self.limit * _FALL, 1.0)
        else:
            self.limit = min(self.limit * _RISE, MAX_TAKEN)
        if self._taken or self._taken_before:
            self._loop.call_soon(self._end_turn)
        else:
            self._watching, self._idle_since_s = False, self._loop.time()
        self._began_s, self._taken_before, self._taken, self._is_full = now_s, self._taken, 0, False
