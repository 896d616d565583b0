"""How much work the owner of a key may ask for: so many steps in so many seconds, of all workers together.

The `limits` library counts by a sliding window: the steps of this window of time, and of the one before as much as is
left of it. Its own counters in memory would be each worker's own, and a client whose connections all are in one worker
would get less than another; its shared ones need a Redis or its like. So here is a third kind of store for it: files
that all workers map into their memory. Several machines, each with a service, have each a limit of its own.
"""

import fcntl
import hashlib
import mmap
import os
import shutil
import tempfile
import weakref
from functools import cache
from pathlib import Path

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from app.errors import RateExceeded, WorkTooLarge
from app.settings import Settings
from app.shared_memory.folders import RATES_FOLDER
from app.telemetry.context import current

_WINDOWS = 3
"""Of which a file has the counters: the one before, this one, and one that is no longer used."""


class SharedWindows(MemoryStorage):
    """The counters of `limits`' sliding windows, in a file for each owner. Whoever changes one holds its lock.

    What decides is the library's; it counts by `get`, `incr` and `decr`, with the number of the window behind the key.
    """

    STORAGE_SCHEME = ["sine"]  # noqa: RUF012 - as the library declares it

    def __init__(self, folder: Path | None) -> None:
        """`folder` is what the workers share; None for a process that is alone."""
        super().__init__()
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="sine-rates-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._folder = folder
        self._files: dict[str, tuple[int, memoryview[int]]] = {}

    def get(self, key: str) -> int:
        """See `limits.storage.Storage`."""
        _, numbers, place, window = self._counter(key)
        return numbers[place + 1] if numbers[place] == window else 0

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """See `limits.storage.Storage`."""
        file, numbers, place, window = self._counter(key)
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            if numbers[place] != window:
                numbers[place + 1] = 0  # first, because `get` takes no lock
                numbers[place] = window
            numbers[place + 1] += amount
            return numbers[place + 1]
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def decr(self, key: str, amount: int = 1) -> int:
        """See `limits.storage.MemoryStorage`."""
        return self.incr(key, 0, -amount)

    def _counter(self, key: str) -> "tuple[int, memoryview[int], int, int]":
        """The file of a key, its numbers, where among them those of the key's window are, and the window."""
        name, _, number = key.rpartition("/")
        file, numbers = self._files.get(name) or self._open(name)
        window = int(number)
        return file, numbers, 2 * (window % _WINDOWS), window

    def _open(self, name: str) -> "tuple[int, memoryview[int]]":
        path = self._folder / hashlib.sha256(name.encode()).hexdigest()
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.truncate(file, 16 * _WINDOWS)
        self._files[name] = file, memoryview(mmap.mmap(file, 16 * _WINDOWS)).cast("q")
        return self._files[name]


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
