"""What breaks servers, done to one under load: what is lost is counted, and is none but what was inside what died."""

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.artifacts import make_small_artifact
from tests.integration.test_workers import workers_of
from tests.reliability.load import Connections
from tests.reliability.results import Result, Results
from tests.server import Server, serve

pytestmark = pytest.mark.anyio

BODY = json.dumps({"sequence": [0.1, 0.2, 0.3], "steps": 20}).encode()
CLIENTS = 8


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serve(tmp_path, model=make_small_artifact(tmp_path), workers=2) as server:
        yield server


class Load:
    """Clients that each ask one thing after the other, on connections that are kept."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.answers: Counter[bytes] = Counter()
        self.lost: list[float] = []
        """When each request was sent that got no answer."""
        self._until = asyncio.Event()

    async def client(self) -> None:
        connections = Connections(self._url)
        while not self._until.is_set():
            sent = time.monotonic()
            try:
                async with asyncio.timeout(30):
                    status, _, body = await connections.post("/generate", BODY)
                self.answers[b"%d %b" % (status, body)] += 1
            except (OSError, EOFError):
                self.lost.append(sent)
            await asyncio.sleep(0.001)
        connections.close()

    def stop(self) -> None:
        self._until.set()


@asynccontextmanager
async def load(server: Server) -> AsyncIterator[Load]:
    running = Load(server.url)
    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(running.client())
        try:
            await asyncio.sleep(0.5)
            yield running
        finally:
            running.stop()


async def is_ready(server: Server) -> bool:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{server.url}/readyz")).status_code == 200


async def until(what: str, condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.05)


async def test_a_worker_that_is_killed_takes_only_what_was_inside_it(server: Server, results: Results) -> None:
    first, second = workers_of(server)
    async with load(server) as running:
        os.kill(first, signal.SIGKILL)
        await until("a new worker", lambda: len({*workers_of(server)} - {first, second}) == 1)
        await asyncio.sleep(1)
        assert await is_ready(server)
    # A client has one request at a time, and loses it where the worker had its connection.
    assert len(running.lost) <= CLIENTS
    assert len(running.answers) == 1, "all answers are the same"
    answered, inside = sum(running.answers.values()), len(running.lost)
    assert answered > 100
    results.add(Result("kill -9 of a worker", 1, answered + inside, answered, wrong=0, lost=0))


async def test_sigterm_finishes_what_was_accepted(server: Server) -> None:
    async with load(server) as running:
        told = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        await until("the end", lambda: server.process.poll() is not None, 30)
        running.stop()
    assert server.process.returncode == 0
    assert [sent for sent in running.lost if sent < told] == []
    assert len(running.answers) == 1
    with pytest.raises(httpx.ConnectError):
        await is_ready(server)
