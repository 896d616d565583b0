"""Tests of the time that a thread is busy: all processor time of the event loop counts, and no more than has passed."""

import asyncio
import time

import pytest

from app.telemetry import busy
from app.telemetry.busy import busy_s, counting_busy
from app.telemetry.instruments import Counter


def test_what_the_event_loop_does_is_counted_and_never_more_than_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busy, "_INTERVAL_S", 0.001)
    numbers = memoryview(bytearray(8)).cast("d")

    async def work() -> tuple[float, float]:
        passed, used = time.perf_counter(), time.thread_time()
        with counting_busy(Counter(numbers, 0)):
            for turn in range(1, 51):
                while time.thread_time() - used < turn / 1000:
                    pass
                await asyncio.sleep(0)
            await asyncio.sleep(0.02)
            used = time.thread_time() - used
        passed = time.perf_counter() - passed
        counted = numbers[0]
        await asyncio.sleep(0.01)
        assert numbers[0] == counted, "nothing is counted after the block"
        return used, passed

    used, passed = asyncio.run(work())
    tick_s = 0.01  # the system counts what a thread waits in such steps at worst
    assert 0.05 <= used <= numbers[0] <= passed + tick_s


def test_processor_time_is_enough_where_the_system_does_not_count_what_a_thread_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Missing:
        def read_text(self) -> str:
            raise FileNotFoundError

    monkeypatch.setattr(busy, "_SCHEDSTAT", Missing())
    before = time.thread_time()
    assert before <= busy_s() <= time.thread_time()
