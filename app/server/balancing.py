"""Even sharing of connections among the workers.

All workers accept from one socket, and a worker that is awake takes what comes. A burst of connections wakes all of
them. A worker that has to wait for a processor then finds nothing left, and the other does all the work as long as the
connections stay. Here, a worker that has more connections than another pauses after each one that it accepts, for about
as long as the other needs to come and take the next.
"""

import time
from collections.abc import Callable, Sequence

PAUSE_S = 2e-4

_SURPLUS, _SURPLUS_PART = 2, 1 / 16
"""A worker may have so many connections more than another, plus a part of its own number."""


class ConnectionBalancer:
    """The connections of one worker, compared with those of the others."""

    def __init__(self, publish: Callable[[int], object], other_workers: Callable[[], Sequence[float]]) -> None:
        """`publish` tells the others how many connections this worker has. `other_workers` returns their numbers."""
        self.publish = publish
        self._other_workers = other_workers

    def opened(self, connections: int) -> None:
        """Publish that one more connection makes `connections`. Pause if that is more than the others have."""
        self.publish(connections)
        if connections > min(self._other_workers(), default=connections) + _SURPLUS + _SURPLUS_PART * connections:
            time.sleep(PAUSE_S)  # not asyncio.sleep, during which this worker would accept more
