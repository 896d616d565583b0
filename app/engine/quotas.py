"""Quotas: the owner of a key may ask for so many steps of the network in so many seconds, over all workers.

The `limits` library decides by a sliding window, and counts in `app/shared_memory/windows.py`.
"""

import os
from functools import cache
from pathlib import Path

from limits import RateLimitItemPerSecond
from limits.strategies import SlidingWindowCounterRateLimiter

from app.errors import RateExceeded, WorkTooLarge
from app.settings import Settings
from app.shared_memory.folders import RATES_FOLDER
from app.shared_memory.windows import SharedWindows
from app.telemetry.context import current


class Quota:
    """The limit of each owner, and how much of it the owner has used."""

    def __init__(self, steps: int, seconds: int, folder: Path | None = None) -> None:
        """At most `steps` in `seconds`, counted over all workers that have this folder."""
        self._limit = RateLimitItemPerSecond(steps, seconds)
        self._windows = SharedWindows(folder)
        self._limiter = SlidingWindowCounterRateLimiter(self._windows)

    def charge_request(self, steps: int) -> None:
        """Charge the owner of the current request's key. The errors are those of `charge`.

        A request that is refused afterwards for another reason, such as too much load, stays charged.
        """
        if (context := current()) is not None:
            self.charge(context.owner.decode(), steps)

    def charge(self, owner: str, steps: int) -> None:
        """Charge an owner for so many steps.

        Raises:
            WorkTooLarge: the steps are more than the limit, and will not be allowed later either.
            RateExceeded: they are more than the owner has left now. None of them is counted.
        """
        most, seconds = self._limit.amount, self._limit.get_expiry()
        if steps > most:
            raise WorkTooLarge(most)
        if not self._limiter.hit(self._limit, owner, cost=steps):
            window = self._windows.get_sliding_window(self._limit.key_for(owner), seconds)
            raise RateExceeded(most, seconds, wait_s(window, seconds, most - steps))


def wait_s(window: tuple[int, float, int, float], seconds: int, room: int) -> float:
    """Seconds until the weighted count is at most `room`, if nothing is counted meanwhile.

    `window` is the result of `get_sliding_window`: the count of the previous window, the seconds until that one has no
    weight, the count of this window, and the seconds until this one has none. The weight of a count falls evenly to
    zero during the window after its own.
    """
    before, _, now, left_s = window
    ends_s = left_s - seconds
    if now <= room:
        return max(0.0, ends_s - (room - now) * seconds / before) if before else 0.0
    return ends_s + seconds * (1 - room / now)


@cache
def quota(settings: Settings) -> Quota:
    """The quota of `settings`, counted over all workers and all models."""
    folder = os.environ.get(RATES_FOLDER)
    steps = (settings.steps_per_second or 0) * settings.burst_s
    return Quota(steps, settings.burst_s, None if folder is None else Path(folder))
