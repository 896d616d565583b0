"""Connections are shared out evenly among the workers.

All workers accept from one socket, and who is awake takes what comes. A burst of connections wakes all of them, but one
that has to wait for a processor finds nothing left, and as long as the connections stay, the other does all the work.
Here a worker that has more of them than another gives way with each one that it takes, for about as long as the other
needs to come and take the next.
"""

import time
from collections.abc import Callable, Sequence

GIVES_WAY_S = 2e-4
_MORE, _PART = 2, 1 / 16
"""Connections that it may have more than another: so many, and a part of what it has."""


class ConnectionBalancer:
    """The connections of one worker, beside those of the others."""

    def __init__(self, publish: Callable[[int], object], other_workers: Callable[[], Sequence[float]]) -> None:
        """`publish` tells the other workers how many there are here; `other_workers` is how many each of them has."""
        self.publish, self._other_workers = publish, other_workers

    def opened(self, connections: int) -> None:
        """Tell that there is one more, which makes so many. Takes a moment where that is more than elsewhere."""
        self.publish(connections)
        if connections > min(self._other_workers(), default=connections) + _MORE + _PART * connections:
            time.sleep(GIVES_WAY_S)  # not asyncio's, in which this worker would take more
