"""Tests of the load shedder: long turns admit fewer requests, but a hiccup or a closed loop shuts nobody out."""

import asyncio
from collections.abc import Callable

import pytest

from app.server.shedding import MAX_TAKEN, LoadShedder

TURN_S = 0.02


class Loop:
    """An event loop whose turns last as long as the test says. A load shedder needs only `call_soon` and `time`."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []
        self.now_s = 0.0

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.soon.append(callback)

    def time(self) -> float:
        return self.now_s

    def turn(self, took_s: float) -> None:
        self.now_s += took_s
        due, self.soon = self.soon, []
        for callback in due:
            callback()


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Loop:
    loop = Loop()
    monkeypatch.setattr("time.thread_time", lambda: loop.now_s)
    return loop


def shedder_of(loop: Loop) -> LoadShedder:
    return LoadShedder(loop, TURN_S)  # type: ignore[arg-type]


def taken(shedder: LoadShedder, requests: int) -> int:
    return sum([shedder.takes() for _ in range(requests)])


def closed_loop(loop: Loop, connections: int, price_s: float, turns: int = 100) -> int:
    """Count the refusals where each connection asks again after its answer, and a request takes `price_s` seconds."""
    there, before = shedder_of(loop), 0
    refused = 0
    for _ in range(turns):
        now = taken(there, connections)
        refused += connections - now
        loop.turn(before * price_s)
        before = now
    return refused


@pytest.mark.parametrize("connections", [1, 64, 256])
def test_connections_that_wait_for_their_answers_are_not_refused(loop: Loop, connections: int) -> None:
    assert closed_loop(loop, connections, 70e-6) == 0


def test_turns_reach_their_limit_under_overload(loop: Loop) -> None:
    there, before, price_s, refusal_s = shedder_of(loop), 0, 300e-6, 20e-6
    took = []
    came = 8
    for _ in range(200):
        now = taken(there, came)
        took.append(before * price_s + (came - now) * refusal_s)
        loop.turn(took[-1])
        before, came = now, int(4 * took[-1] / price_s) + 8  # four times the possible work arrives meanwhile
    settled = took[100:]
    assert max(settled) < 1.3 * TURN_S
    assert sum(settled) / len(settled) > 0.7 * TURN_S


def test_one_long_turn_shuts_few_out(loop: Loop) -> None:
    there = shedder_of(loop)
    taken(there, 256)
    loop.turn(0.1)
    assert taken(there, 256) == 256


def test_an_idle_shedder_admits_again_and_schedules_nothing(loop: Loop) -> None:
    there = shedder_of(loop)
    for _ in range(50):
        taken(there, 1000)
        loop.turn(1.0)
    assert there.limit < 5
    loop.turn(0.001)
    loop.turn(0.001)
    assert loop.soon == []
    assert taken(there, 2 * MAX_TAKEN) < 6, "a moment without requests does not end the flood"
    for _ in range(3):
        loop.turn(0.01)
    loop.now_s += 1.1
    assert taken(there, 2 * MAX_TAKEN) == MAX_TAKEN


def test_a_turn_takes_no_more_when_its_time_is_used_up(loop: Loop) -> None:
    there, took = shedder_of(loop), list[int]()
    for _ in range(100):
        before, now = loop.now_s, 0
        for _ in range(1000):
            if there.takes():  # and answers at once
                now += 1
                loop.now_s += 300e-6
            else:
                loop.now_s += 5e-6
        took.append(now)
        assert loop.now_s - before < 1.6 * TURN_S
        loop.turn(0)
    assert min(took) > 0.3 * TURN_S / 300e-6


async def waits_for_turns(there: LoadShedder) -> None:
    there.takes()
    await asyncio.sleep(0.01)


def test_a_real_loop_ends_its_turns() -> None:
    async def ask() -> float:
        there = LoadShedder(asyncio.get_running_loop(), TURN_S)
        await waits_for_turns(there)
        await waits_for_turns(there)
        return there.limit

    assert asyncio.run(ask()) == MAX_TAKEN
