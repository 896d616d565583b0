"""A million requests of all kinds: each answer is that of the request alone, to the bit, and nothing is left behind."""

import asyncio
import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.artifacts import make_small_artifact, some_intervals
from tests.integration.test_workers import workers_of
from tests.metrics import total
from tests.reliability.catalogue import Catalogue, Prepared, make_catalogue, wire
from tests.reliability.inside import inside, telling
from tests.reliability.results import Result, Results
from tests.server import Server, serve

pytestmark = pytest.mark.anyio

CONNECTIONS = 64
PIPELINED = 6
"""Requests in a pipeline. After a pause, a worker finds no more in a turn than it takes (`app/server/shedding.py`)."""
MAX_STEPS = 1_000_000
POOLED = min(32, (os.cpu_count() or 1) + 4)
"""Threads that asyncio's pool may have, each of which begins when so many are needed at once. Leaks have more."""
LEFT_OBJECTS = 1_000
"""That may be more than after the warm-up: what pools and caches have still grown by."""
_length = re.compile(rb"\r\ncontent-length: (\d+)").search

ASKED_ALONE = [("GET", "/livez"), ("GET", "/readyz"), ("GET", "/model"), ("GET", "/v2"), ("GET", "/v2/models/small")]
ASKED_ALONE += [("GET", "/nowhere"), ("GET", "/v2/nowhere"), ("PUT", "/predict"), ("GET", "/openapi.json")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("soaked")
    model = make_small_artifact(folder, cell="gru", hidden=32, intervals=some_intervals())
    settings = {"max_steps": MAX_STEPS, "max_pending_s": 60, "access_log": False}
    with telling(folder), serve(folder, model=model, workers=2, **settings) as server:
        yield server


@pytest.fixture(scope="module")
async def catalogue(server: Server) -> Catalogue:
    """All but a few kinds are computed in this process; those that only the server can answer, it was asked alone."""
    made = await make_catalogue(next(server.log.parent.glob("*.pt")), MAX_STEPS)
    async with httpx.AsyncClient(base_url=server.url, headers={"accept-encoding": "identity"}) as client:
        for method, path in ASKED_ALONE:
            answer = await client.request(method, path)
            asked = Prepared(path, wire(method, path), {answer.status_code: answer.content})
            made.add(0.3 if len(answer.content) < 5_000 else 0.01, asked)
    return made


class Left(NamedTuple):
    """What a process holds."""

    resident_kb: int
    threads: int
    descriptors: int


def left(server: Server) -> dict[int, Left]:
    """What each process of the server holds."""
    found = {}
    for pid in (server.process.pid, *workers_of(server)):
        process = Path(f"/proc/{pid}")
        resident = re.search(r"VmRSS:\s+(\d+) kB", (process / "status").read_text())
        assert resident is not None
        found[pid] = Left(int(resident[1]), len([*(process / "task").iterdir()]), len([*(process / "fd").iterdir()]))
    return found


class Clients:
    """Those of one server, and what became of what they asked."""

    def __init__(self, server: Server, catalogue: Catalogue) -> None:
        self._server = server
        self._catalogue = catalogue
        self._address = server.address
        self.sent = self.answered = self.cancelled = self.lost = 0
        self.wrong: Counter[str] = Counter()

    async def soak(self, requests: int, seed: int) -> None:
        """Ask so many, on all connections together."""
        goal = self.sent + requests
        async with asyncio.TaskGroup() as group:
            for number in range(CONNECTIONS):
                group.create_task(self._client(goal, random.Random(f"{seed} {number}")))  # noqa: S311

    async def all_at_once(self) -> None:
        """What uses a pool of threads, from all connections in the same moment: its threads are there from then on."""
        compressed = [asked for asked in self._catalogue.requests if b"content-encoding: gzip" in asked.wire]
        opened = [await asyncio.open_connection(*self._address) for _ in range(CONNECTIONS)]
        try:
            await asyncio.gather(*(self.ask(reader, writer, compressed) for reader, writer in opened))
        finally:
            for _, writer in opened:
                writer.close()

    async def _client(self, goal: int, draw: random.Random) -> None:
        kinds = [self._batch, self._stream, self._session, self._cancelled]
        while self.sent < goal:
            reader, writer = await asyncio.open_connection(*self._address, limit=2**22)
            try:
                keeps = True
                while keeps and self.sent < goal:
                    (kind,) = draw.choices(kinds, [94, 3, 1, 2])
                    async with asyncio.timeout(60):
                        keeps = await kind(reader, writer, draw)
            except (OSError, EOFError, ConnectionClosed) as error:
                self.lost += 1
                self.wrong[f"lost: {error!r}"] += 1
            finally:
                writer.close()

    async def _batch(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, draw: random.Random) -> bool:
        await self.ask(reader, writer, draw.choices(self._catalogue.requests, self._catalogue.weights, k=PIPELINED))
        return True

    async def ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, batch: Sequence[Prepared]) -> None:
        """All of them at once, and their answers in their order."""
        self.sent += len(batch)
        writer.write(b"".join([asked.wire for asked in batch]))
        for asked in batch:
            head = await reader.readuntil(b"\r\n\r\n")
            length = _length(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            if asked.is_answered_by(int(head[9:12]), body):
                self.answered += 1
            else:
                self.wrong[f"{asked.kind}: {head[9:12]!r} {body[:200]!r}, not {[*asked.answers]}"] += 1

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, draw: random.Random) -> bool:
        """To its end, or until its client has had enough."""
        asked, enough = draw.choice(self._catalogue.streams), draw.random() < 0.5
        self.sent += 1
        writer.write(asked.wire)
        await reader.readuntil(b"\r\n\r\n")
        content = await _chunk(reader)
        if enough:
            self.cancelled += 1
            return False
        while part := await _chunk(reader):
            content += part
        events = [event.split(b"\ndata: ") for event in content.split(b"\n\n") if event]
        values = [value for name, data in events if name == b"event: values" for value in json.loads(data)["values"]]
        if values == asked.values and events[-1] == [b"event: done", asked.done]:
            self.answered += 1
        else:
            self.wrong["stream"] += 1
        return True

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, draw: random.Random) -> bool:
        """One connection to /live, closed or left."""
        async with connect(self._server.url.replace("http", "ws") + "/live", compression=None) as socket:
            for message, expected in draw.choice(self._catalogue.sessions):
                self.sent += 1
                await socket.send(message)
                if await socket.recv() == expected:
                    self.answered += 1
                else:
                    self.wrong["live"] += 1
            if draw.random() < 0.5:
                socket.transport.abort()
        return True

    async def _cancelled(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, draw: random.Random) -> bool:
        """A request, or a part of one, or several, and nobody there for an answer."""
        asked = b"".join(request.wire for request in draw.choices(self._catalogue.requests, k=draw.choice([1, 5])))
        writer.write(asked[: draw.choice([len(asked), draw.randrange(len(asked))])])
        await asyncio.sleep(draw.choice([0, 0.001]))
        self.cancelled += 1
        self.sent += 1
        return False


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    size = int(await reader.readuntil(b"\r\n"), 16)
    return (await reader.readexactly(size + 2))[:-2]


def _metrics(server: Server) -> tuple[float, float, float]:
    """Steps pending, connections to /live, and steps done since the start."""
    lines = httpx.get(f"{server.url}/metrics").text
    assert total(lines, "sine_requests_total", status="500") == 0
    return total(lines, "sine_pending_steps"), total(lines, "sine_websockets"), total(lines, "sine_steps_total")


def _inside(server: Server) -> tuple[Counter[str], int]:
    """The tasks of all workers that are not done, and how many objects they have."""
    workers = [inside(worker, server.log.parent) for worker in workers_of(server)]
    return sum((worker.tasks for worker in workers), Counter()), sum(worker.objects for worker in workers)


async def _at_rest(server: Server) -> None:
    """Nothing is being done for anybody, and stays so for a second."""
    deadline, since, executed = time.monotonic() + 30, time.monotonic(), -1.0
    while time.monotonic() - since < 1:
        pending, sockets, steps = _metrics(server)
        if pending or sockets or steps != executed:
            since, executed = time.monotonic(), steps
        assert time.monotonic() < deadline, f"{pending} steps pending, {sockets} sockets open, {steps} steps done"
        await asyncio.sleep(0.1)


async def test_every_answer_is_that_of_the_request_alone_and_nothing_is_left(
    server: Server, catalogue: Catalogue, full: bool, results: Results
) -> None:
    clients = Clients(server, catalogue)
    requests, warm_up = (1_000_000, 100_000) if full else (20_000, 10_000)
    await clients.all_at_once()
    await clients.soak(warm_up, seed=0)
    await _at_rest(server)
    before, tasks, objects = left(server), *_inside(server)
    assert len(before) == 3, "the supervisor and its workers"
    began, sent = time.monotonic(), clients.sent
    await clients.soak(requests - sent, seed=1)
    load = (clients.sent - sent) / (time.monotonic() - began)
    await _at_rest(server)
    after, tasks_after, objects_after = left(server), *_inside(server)
    assert clients.wrong == {}
    assert clients.lost == 0
    assert clients.answered + clients.cancelled == clients.sent >= requests
    assert after.keys() == before.keys(), "no process was replaced"
    growth = max(after[pid].resident_kb / before[pid].resident_kb - 1 for pid in before)
    results.add(
        Result(
            "all kinds of requests on 64 connections",
            clients.cancelled,
            clients.sent,
            clients.sent - clients.cancelled,
            wrong=clients.wrong.total(),
            lost=clients.lost,
            load=load,
            growth=growth,
        )
    )
    assert growth < 0.02, (before, after)
    for pid in before:
        assert after[pid].threads <= before[pid].threads + POOLED
        assert after[pid].descriptors <= before[pid].descriptors
    assert tasks_after == tasks
    assert objects_after <= objects + LEFT_OBJECTS, "a leak has one for each request, at the least"


async def test_work_that_nobody_waits_for_ends(server: Server, full: bool, results: Results) -> None:
    """Rollouts of a million steps, by clients that leave."""
    times, kinds = 5 if full else 1, ("/generate", "/generate/stream")
    body = json.dumps({"sequence": [0.1, 0.2, 0.3], "steps": MAX_STEPS}).encode()
    await _at_rest(server)
    tasks, _ = _inside(server)
    for _ in range(times):
        _, _, before = _metrics(server)
        opened = [await asyncio.open_connection(*server.address) for _ in range(16)]
        for number, (_, writer) in enumerate(opened):
            writer.write(wire("POST", kinds[number % 2], body))
        await asyncio.sleep(0.05)
        for _, writer in opened:
            writer.close()
        await _at_rest(server)
        _, _, after = _metrics(server)
        assert after - before < 8 * MAX_STEPS, "half of what was asked for"
    assert _inside(server)[0] == tasks
    results.add(Result("abandoned rollouts of 10^6 steps", 16 * times, 16 * times, 0, wrong=0, lost=0))
