"""The time that the event loop's thread is busy, which shows how close a worker is to its limit.

A worker answers as fast as this one thread does. The seconds in which the thread had something to do divided by those
that passed is 0 for an idle worker, and 1 for one that cannot do more. The time that a thread has waited for a
processor counts too. On a crowded machine, a worker reaches its limit with little processor time.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.telemetry.instruments import Counter

_INTERVAL_S = 1.0

_SCHEDSTAT = Path("/proc/thread-self/schedstat")
"""Nanoseconds on a processor and in a queue for one, and a number:
https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat"""


def busy_s() -> float:
    """Return the seconds that this thread has run, or has waited for a processor where the system counts that."""
    waited_ns = 0
    with suppress(OSError, ValueError):
        _, waited_ns, _ = map(int, _SCHEDSTAT.read_text().split())
    return time.thread_time() + waited_ns / 1e9


@contextmanager
def counting_busy(counter: Counter) -> Iterator[None]:
    """Count the seconds in which the thread of the running event loop is busy in the block, every second and at its
    end."""
    before_s = busy_s()

    def count() -> None:
        nonlocal before_s
        now_s = busy_s()
        counter.add(now_s - before_s)
        before_s = now_s

    async def count_always() -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S)
            count()

    counting = asyncio.create_task(count_always())
    try:
        yield
    finally:
        counting.cancel()
        count()
