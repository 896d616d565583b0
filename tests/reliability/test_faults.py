"""What breaks servers, done to one under load: what is lost is counted, and is none but what was inside what died."""

import asyncio
import json
import os
import signal
import socket
import struct
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from app.shared_memory.folders import METRICS_FOLDER
from tests.integration.test_workers import forking, workers_of
from tests.metrics import metric
from tests.reliability.conftest import MAX_STEPS, SETTINGS
from tests.reliability.load import Connections, NotConnected
from tests.reliability.processes import descriptors, is_alive, variable
from tests.reliability.results import Result, Results
from tests.server import Server, serve
from tests.waiting import wait_for, wait_for_async

pytestmark = pytest.mark.anyio

BODY = json.dumps({"sequence": [0.1, 0.2, 0.3], "steps": 20}).encode()
HEAD = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
CLIENTS = 8


@pytest.fixture
def server(enduring: Server) -> Server:
    """With both of its workers."""
    wait_for("two workers", lambda: metric(enduring.url, "sine_workers_ready") == 2, 120)
    return enduring


class Load:
    """Clients that each ask one thing after the other, on connections that are kept."""

    def __init__(self, url: str, body: bytes) -> None:
        self._url = url
        self._body = body
        self.answers: Counter[bytes] = Counter()
        self.lost: list[float] = []
        """When each request was sent that got no answer."""
        self.refused = 0
        """Connections that nobody listened for: no request was sent."""
        self._until = asyncio.Event()

    async def client(self) -> None:
        connections = Connections(self._url)
        while not self._until.is_set():
            sent = time.monotonic()
            try:
                async with asyncio.timeout(30):
                    status, _, body = await connections.post("/generate", self._body)
                self.answers[b"%d %b" % (status, body)] += 1
            except NotConnected:
                self.refused += 1
            except (OSError, EOFError):
                self.lost.append(sent)
            await asyncio.sleep(0.001)
        connections.close()

    def stop(self) -> None:
        self._until.set()


def load(server: Server) -> AbstractAsyncContextManager[Load]:
    return load_on(server.url)


@asynccontextmanager
async def load_on(url: str, body: bytes = BODY) -> AsyncIterator[Load]:
    running = Load(url, body)
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


def answered(server: Server) -> float:
    return metric(server.url, "sine_requests_total", route="/generate", status="200")


async def test_workers_that_are_killed_take_only_what_was_inside_them(
    server: Server, results: Results, full: bool
) -> None:
    kills, counted = 10 if full else 1, [0.0]
    began = time.monotonic()
    async with load(server) as running:
        for kill in range(kills):
            before = workers_of(server)
            os.kill(before[kill % 2], signal.SIGKILL)
            await wait_for_async("its end to be seen", lambda: metric(server.url, "sine_workers_ready") == 1)
            await wait_for_async("a new worker", lambda: len({*workers_of(server)} - {*before}) == 1)  # noqa: B023
            while await asyncio.to_thread(metric, server.url, "sine_workers_ready") != 2:
                assert await is_ready(server)  # the other one is
                await asyncio.sleep(0.1)
            counted.append(await asyncio.to_thread(answered, server))
    held = sum(running.answers.values()) / (time.monotonic() - began)
    # A client has one request at a time, and loses it where the worker had its connection.
    assert len(running.lost) <= kills * CLIENTS
    assert running.refused == 0
    assert len(running.answers) == 1, "all answers are the same"
    # What a worker had answered and not yet counted is not counted; what was counted is never lost.
    assert counted == sorted(counted)
    assert answered(server) >= sum(running.answers.values()) - kills * CLIENTS
    assert len(os.listdir(variable(workers_of(server)[0], METRICS_FOLDER))) <= 4
    got, inside = sum(running.answers.values()), len(running.lost)
    check = f"kill -9 of a worker under load: {inside} inside them, all other requests answered"
    results.add(Result(check, kills, got + inside, got, wrong=0, lost=0, load=held))


async def test_workers_whose_origin_is_killed_finish_and_are_replaced(server: Server, results: Results) -> None:
    before = workers_of(server)
    async with load(server) as running, asyncio.TaskGroup() as group:
        stream = group.create_task(a_slow_stream(server, 1))
        await asyncio.sleep(0.5)
        os.kill(forking(server), signal.SIGKILL)
        await wait_for_async("the end of all workers", lambda: not any(map(is_alive, before)))
        await wait_for_async("two others", lambda: metric(server.url, "sine_workers_ready") == 2)
    assert stream.result() == "event: done"
    assert running.lost == []
    assert running.refused == 0
    assert len(running.answers) == 1
    got = sum(running.answers.values()) + 1
    results.add(Result("kill -9 of the forkserver under load", 1, got, got, wrong=0, lost=0))


async def test_clients_that_vanish_stop_the_work_and_leave_nothing(
    server: Server, results: Results, full: bool
) -> None:
    clients, steps = 500 if full else 30, MAX_STEPS
    body = json.dumps({"sequence": [0.1], "steps": steps}).encode()
    executed = metric(server.url, "sine_steps_total", stage="rollout")
    before = [len(descriptors(worker)) for worker in workers_of(server)]
    async with load(server) as running:
        for number in range(clients):
            path, sent = [(b"/generate/stream", len(body)), (b"/generate", len(body)), (b"/generate", 7)][number % 3]
            reader, writer = await asyncio.open_connection(*server.address)
            writer.write(HEAD % (path, len(body)) + body[:sent])
            if path == b"/generate/stream":
                await reader.readuntil(b"event: values")
            # Without a farewell: what is unsent is dropped, and the other side gets a reset.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
    await wait_for_async("the work to stop", lambda: metric(server.url, "sine_pending_steps") == 0)
    assert metric(server.url, "sine_steps_total", stage="rollout") - executed < clients * steps / 2
    await wait_for_async(
        "the descriptors to be closed",
        lambda: [len(descriptors(worker)) for worker in workers_of(server)] <= [count + 2 for count in before],
    )
    assert running.lost == []
    assert len(running.answers) == 1
    got = sum(running.answers.values())
    results.add(Result("clients that vanish in a body, a rollout, a stream", clients, got, got, wrong=0, lost=0))


async def a_slow_stream(server: Server, seconds: float) -> str:
    """Read a stream with pauses, for at least so long, and give its last event's name."""
    body = json.dumps({"sequence": [0.1], "steps": MAX_STEPS}).encode()
    with socket.socket() as client:
        # With room for little, so that most of it is neither computed nor sent before it is read.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(server.address)
        reader, writer = await asyncio.open_connection(sock=client.dup())
    writer.write(HEAD % (b"/generate/stream", len(body)) + body)
    last, ends_s = b"", time.monotonic() + seconds
    while line := await reader.readline():
        last = line if line.startswith(b"event: ") else last
        if time.monotonic() < ends_s:
            await asyncio.sleep(0.02)
    writer.close()
    return last.decode().strip()


async def a_slow_body(server: Server, seconds: float) -> bytes:
    """Send half of a body, and the rest after a while; the status line of the answer."""
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(HEAD % (b"/generate", len(BODY)) + BODY[:10])
    await asyncio.sleep(seconds)
    writer.write(BODY[10:])
    status = await reader.readline()
    writer.close()
    return status


async def a_live_connection(server: Server) -> int | None:
    """Use /live until the service closes it, and give the code that it says."""
    async with connect(f"{server.url.replace('http', 'ws')}/live") as live:
        try:
            while True:
                await live.send("0.5")
                assert "prediction" in json.loads(await live.recv())
                await asyncio.sleep(0.02)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else None


async def test_sigterm_ends_readiness_then_finishes_what_was_accepted(
    tmp_path: Path, artifact: Path, results: Results
) -> None:
    delay_s = 1.0
    with serve(tmp_path, model=artifact, drain_delay_s=delay_s, grace_period_s=60, **SETTINGS) as server:
        async with load(server) as running, asyncio.TaskGroup() as group:
            stream = group.create_task(a_slow_stream(server, delay_s + 2))
            body = group.create_task(a_slow_body(server, delay_s + 0.5))
            live = group.create_task(a_live_connection(server))
            await asyncio.sleep(0.5)
            told = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            await asyncio.sleep(delay_s / 4)
            async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
                asked = [await http.get(path) for path in ("/readyz", "/v2/health/ready", "/livez")]
            assert [answer.status_code for answer in asked] == [503, 503, 200]
            during = Connections(server.url)
            assert (await during.post("/generate", BODY))[0] == 200
            during.close()
            await wait_for_async("connections to be refused", lambda: running.refused > 0, 10)
            running.stop()
            assert not stream.done()
        await wait_for_async("the end", lambda: server.process.poll() is not None)
        assert server.process.returncode == 0
    assert stream.result() == "event: done"
    assert body.result().startswith(b"HTTP/1.1 200 ")
    assert live.result() in (1001, 1012)
    # Then it closes; who connects in that very moment may be reset, which the delay is there to prevent.
    assert [sent for sent in running.lost if sent < told + delay_s] == []
    assert len(running.answers) == 1
    assert "Cancel" not in server.log.read_text()
    got = sum(running.answers.values()) + 3
    results.add(Result("SIGTERM under load", 1, got, got, wrong=0, lost=0))


async def test_workers_whose_supervisor_is_killed_finish_and_end(
    server: Server, tmp_path: Path, artifact: Path, results: Results, full: bool
) -> None:
    others = Path(variable(workers_of(server)[0], METRICS_FOLDER)).parent
    with serve(tmp_path, model=artifact, **SETTINGS) as killed:
        workers = workers_of(killed)
        folder = Path(variable(workers[0], METRICS_FOLDER)).parent
        async with load(killed) as running, asyncio.TaskGroup() as group:
            stream = group.create_task(a_slow_stream(killed, 2))
            await asyncio.sleep(0.5)
            told = time.monotonic()
            killed.process.kill()
            await wait_for_async("connections to be refused", lambda: running.refused > 0, 10)
            running.stop()
        await wait_for_async("the end of all workers", lambda: not any(map(is_alive, workers)), 30)
    assert stream.result() == "event: done"
    assert [sent for sent in running.lost if sent < told] == []
    assert len(running.answers) == 1
    if full:  # tests/unit/test_folders.py does it, in less time
        with serve(tmp_path, model=artifact, workers=1):
            there = [*map(Path.exists, (folder, others))]
        assert there == [False, True], "the next one that starts removes what the killed one left"
    got = sum(running.answers.values()) + 1
    results.add(Result("kill -9 of the supervisor under load", 1, got, got, wrong=0, lost=0))
