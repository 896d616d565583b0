"""Tests that all writes of one turn of the event loop leave in one piece when the turn ends."""

import asyncio
from typing import Any

import pytest

from app.server.coalescing import CoalescingTransport, WriteQueue

pytestmark = pytest.mark.anyio


class Recorder:
    """A transport that records its calls."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def close(self) -> None:
        self.done.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.done


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def queue() -> WriteQueue:
    return WriteQueue(asyncio.get_running_loop())


def joining(queue: WriteQueue) -> tuple[Any, Recorder]:
    recorder = Recorder()
    return CoalescingTransport(recorder, queue), recorder  # type: ignore[arg-type]


async def test_the_writes_of_a_turn_are_one_write(queue: WriteQueue) -> None:
    (first, first_did), (second, second_did) = joining(queue), joining(queue)
    for transport in (first, second, first):
        transport.write(b"head ")
    assert first_did.done == second_did.done == []
    await asyncio.sleep(0)
    assert (first_did.done, second_did.done) == ([b"head head "], [b"head "])
    first.write(b"next")
    await asyncio.sleep(0)
    assert first_did.done == [b"head head ", b"next"]


async def test_a_large_answer_does_not_wait(queue: WriteQueue) -> None:
    transport, did = joining(queue)
    transport.write(b"head ")
    transport.write(bytes(65_536))
    assert [len(data) for data in did.done] == [5 + 65_536]
    transport.write(b"more")
    await asyncio.sleep(0)
    assert did.done[1:] == [b"more"]


async def test_writes_before_a_close_are_sent(queue: WriteQueue) -> None:
    transport, did = joining(queue)
    transport.write(b"last words")
    assert not transport.is_closing()  # the wrapper asks the real transport
    transport.close()
    assert did.done == [b"last words", "closed"]
    assert transport.is_closing()
    await asyncio.sleep(0)
    assert len(did.done) == 2


@pytest.mark.parametrize("error", [RuntimeError("the handler is closed"), MemoryError()])
async def test_a_failed_write_does_not_affect_other_clients(queue: WriteQueue, error: Exception) -> None:
    class Gone(Recorder):
        def write(self, data: bytes) -> None:
            raise error

        def abort(self) -> None:
            self.done.append("aborted")

    gone = Gone()
    first = CoalescingTransport(gone, queue)  # type: ignore[arg-type]
    second, second_did = joining(queue)
    for transport in (first, second):
        transport.write(b"answer")
    await asyncio.sleep(0)
    assert (gone.done, second_did.done) == (["aborted"], [b"answer"])
