"""Tests that a worker accepts several connections in a turn of its event loop, unless another worker comes first."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack

import pytest
import uvloop

from app.server.accepting import Acceptor, has_surplus
from app.server.startup import bind

ALL = 48


@pytest.mark.parametrize(
    ("connections", "of_others", "expected"),
    [
        (1, [], False),
        (1, [0.0], True),
        (1, [1.0], False),
        (2, [1.0], True),
        (16, [15.0], False),
        (16, [14.0], True),
        (4, [1.0, 9.0], True),
        (4, [9.0, 9.0], False),
        (1000, [950.0], False),
        (1000, [900.0], True),
    ],
)
def test_a_worker_may_have_a_sixteenth_more_connections_than_another(
    connections: int, of_others: list[float], expected: bool
) -> None:
    assert has_surplus(connections, of_others) == expected


async def accepted_in_turns(gives_way: Callable[[int], bool], seconds: float = 30) -> list[int]:
    """Return the turn of the event loop in which each of `ALL` waiting connections was made, in so many seconds."""
    turns, in_turn = 0, list[int]()

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            in_turn.append(turns)

    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        listener = stack.enter_context(bind("127.0.0.1", 0))
        acceptor = Acceptor(listener, lambda each: loop.connect_accepted_socket(Accepted, each), gives_way, ALL)
        stack.callback(acceptor.close)
        for _ in range(ALL):
            stack.enter_context(socket.create_connection(listener.getsockname()))
        until = loop.time() + seconds
        while len(in_turn) < ALL and loop.time() < until:
            turns += 1
            await asyncio.sleep(0)
    return in_turn


def run(gives_way: Callable[[int], bool], seconds: float = 30) -> list[int]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(accepted_in_turns(gives_way, seconds))


def test_one_turn_of_the_event_loop_accepts_several_connections() -> None:
    in_turn = run(lambda coming: False)
    assert len(in_turn) == ALL
    assert max(in_turn) - min(in_turn) < ALL / 4


def test_a_worker_that_always_gives_way_still_accepts_all() -> None:
    in_turn = run(lambda coming: True)
    assert len(in_turn) == len(set(in_turn)) == ALL  # one at a time, with a pause after each


def test_what_waits_when_a_worker_stops_is_accepted_during_its_pause() -> None:
    async def accepted() -> int:
        made: list[socket.socket] = []

        async def connect(connection: socket.socket) -> None:
            made.append(connection)

        with ExitStack() as stack:
            listener = stack.enter_context(bind("127.0.0.1", 0))
            acceptor = Acceptor(listener, connect, lambda coming: True, ALL)
            for _ in range(ALL):
                stack.enter_context(socket.create_connection(listener.getsockname()))
            await asyncio.sleep(0)  # the first is accepted, and a pause begins
            await acceptor.accept_all()
            acceptor.close()
            for connection in made:
                connection.close()
        return len(made)

    assert asyncio.run(accepted()) == ALL
