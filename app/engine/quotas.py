"""How much work the owner of a key may ask for: so many steps in so many seconds, of all workers together.

The `limits` library decides, by a sliding window; `app/shared_memory/windows.py` is where it counts.
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
    """The limit, and what each owner has used of it."""

    def __init__(self, steps: int, seconds: int, folder: Path | None = None) -> None:
        """At most `steps` in `seconds`, counted together with all workers that have this folder."""
        self._limit = RateLimitItemPerSecond(steps, seconds)
        self._windows = SharedWindows(folder)
        self._limiter = SlidingWindowCounterRateLimiter(self._windows)

    def charge_request(self, steps: int) -> None:
        """Count so many steps as those of the owner of the current request's key. Raises as `charge` does.

        What is refused for other reasons after that, such as too much load, stays charged.
        """
        if (context := current()) is not None:
            self.charge(context.owner.decode(), steps)

    def charge(self, owner: str, steps: int) -> None:
        """Count so many steps as this owner's.

        Raises:
            WorkTooLarge: they are more than the limit, and will not be allowed later either.
            RateExceeded: they are more than is left of it now; then none of them is counted.
        """
        most, seconds = self._limit.amount, self._limit.get_expiry()
        if steps > most:
            raise WorkTooLarge(most)
        if not self._limiter.hit(self._limit, owner, cost=steps):
            window = self._windows.get_sliding_window(self._limit.key_for(owner), seconds)
            raise RateExceeded(most, seconds, wait_s(window, seconds, most - steps))


def wait_s(window: tuple[int, float, int, float], seconds: int, room: int) -> float:
    """Seconds until the weighted count is at most `room`, if nothing is counted meanwhile.

    `window` is what `get_sliding_window` has: the count of the window before, for how long that weighs, the count of
    this window, for how long that one counts. Each loses its weight evenly in the window after its own.
    """
    before, _, now, left_s = window
    ends_s = left_s - seconds
    if now <= room:
        return max(0.0, ends_s - (room - now) * seconds / before) if before else 0.0
    return ends_s + seconds * (1 - room / now)


@cache
def quota(settings: Settings) -> Quota:
    """That of `settings`, counted together with all workers, and for all models alike."""
    folder = os.environ.get(RATES_FOLDER)
    steps = (settings.steps_per_second or 0) * settings.burst_s
    return Quota(steps, settings.burst_s, None if folder is None else Path(folder))
