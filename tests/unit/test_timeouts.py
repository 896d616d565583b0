"""Deadlines of connections: what counts as progress, and when connections are looked at."""

import asyncio

import pytest

from app.server import timeouts
from app.server.timeouts import Deadline, watch

LIMIT_S = 30.0


def passed_after(waits: list[tuple[object, float]]) -> list[bool]:
    """Whether the deadline has passed at each of the waits, which are what is awaited and the time."""
    first = object()
    deadline = Deadline(LIMIT_S, first, 0.0)
    return [deadline.has_passed(first if awaited == "first" else awaited, now_s) for awaited, now_s in waits]


def test_a_wait_for_one_thing_passes_its_deadline() -> None:
    request = object()
    assert passed_after([("first", 30.0), ("first", 30.1)]) == [False, True]
    assert passed_after([(request, 20.0), (request, 50.0), (request, 50.1)]) == [False, False, True]


def test_the_next_request_is_progress_even_if_it_looks_the_same() -> None:
    one, other = {"path": "/predict"}, {"path": "/predict"}
    assert passed_after([(one, 10.0), (other, 40.1), (other, 70.0), (other, 70.2)]) == [False, False, False, True]


def test_bytes_that_the_client_has_taken_are_progress() -> None:
    # Numbers above 256 are no singletons: equal ones are different objects.
    stuck = [(int("1000"), 10.0), (int("1000"), 40.0), (int("1000"), 40.1)]
    assert passed_after([*stuck]) == [False, False, True]
    assert passed_after([(1000, 10.0), (999, 40.1), (998, 70.2)]) == [False, False, False]


def test_a_connection_that_waits_for_nothing_has_no_deadline() -> None:
    assert passed_after([(None, 10.0), (None, 1000.0), ("first", 1000.0), ("first", 1030.1)]) == [
        *[False] * 3,
        True,
    ]


def test_connections_are_checked_until_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "_INTERVAL_S", 0.001)

    class Checked:
        times = 0

        def check_deadline(self, now_s: float) -> None:
            self.times += 1
            if self.times == 3:
                connections.discard(self)
            if not connections:
                none_left.set()

    connections, none_left = {Checked(), Checked()}, asyncio.Event()

    async def watched() -> list[int]:
        loop, all_of_them = asyncio.get_running_loop(), [*connections]
        watch(loop, connections)
        watch(loop, connections)  # changes nothing
        await none_left.wait()
        assert loop not in timeouts._watched
        return [connection.times for connection in all_of_them]

    assert asyncio.run(asyncio.wait_for(watched(), 30)) == [3, 3]
