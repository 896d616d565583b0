"""Tests of the default number of workers, and of the connections that wait when one stops."""

import asyncio
import os
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from app.cpus import usable_cpus
from app.server.startup import bind
from app.server.supervisor import worker_count
from app.server.workers import Server
from app.settings import Settings

CPUS = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", CPUS), ("50000 100000", 1), ("100000 100000", 1), (f"{CPUS + 3}00000 100000", CPUS), ("?", CPUS)],
)
def test_a_container_with_a_quota_has_as_many_cpus_as_it_pays_for(tmp_path: Path, quota: str, expected: int) -> None:
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert usable_cpus(tmp_path / "cpu.max") == expected


def test_the_affinity_counts_without_a_quota(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path / "missing") == CPUS


def test_workers_are_what_was_asked_for_or_one_for_each_cpu_or_one_on_cuda() -> None:
    assert worker_count(Settings(workers=7)) == 7
    assert worker_count(Settings(device="cpu")) == usable_cpus()
    assert worker_count(Settings(device="cuda")) == 1


async def greet(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


def test_pending_connections_are_answered_before_the_socket_closes() -> None:
    async def stop_with(connections: int) -> list[bytes]:
        config = uvicorn.Config(greet, port=0, log_level="critical", lifespan="off", timeout_graceful_shutdown=10)
        config.load()
        listener = bind("127.0.0.1", 0)
        server = Server(config, listener)
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        with ExitStack() as stack:
            clients = [
                stack.enter_context(socket.create_connection(listener.getsockname())) for _ in range(connections)
            ]
            for client in clients:
                client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await server.shutdown()  # the event loop has had no turn in which to accept the connections
            return [client.recv(1000) for client in clients]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answers = runner.run(asyncio.wait_for(stop_with(48), timeout=30))
    assert {answer[:15] for answer in answers} == {b"HTTP/1.1 200 OK"}
