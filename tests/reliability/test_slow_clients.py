"""Slow and hostile clients: bounded time, bounded memory, and nobody else is harmed."""

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.artifacts import make_small_artifact
from tests.server import Server, serve

BODY = b'{"sequence": [1, 2, 3], "steps": 5}'
REQUEST = b"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)
RECEIVE_S = 2.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("patient")
    with serve(folder, model=make_small_artifact(folder), workers=1, receive_timeout_s=RECEIVE_S) as server:
        yield server


@contextlib.contextmanager
def connection(server: Server) -> Iterator[socket.socket]:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as client:
        yield client


def until_closed(client: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionError):
        while part := client.recv(65_536):
            received += part
    return received


def assert_others_are_served(server: Server) -> None:
    answer = httpx.post(f"{server.url}/generate", content=BODY, headers={"content-type": "application/json"})
    assert answer.status_code == 200
    assert len(answer.json()["values"]) == 5


def resident_mb(server: Server) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1e3


def descriptors(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


@pytest.mark.parametrize("sent", [REQUEST[:20], REQUEST[: -len(BODY) - 2], REQUEST[:-1]], ids=["line", "head", "body"])
def test_a_request_that_does_not_come_to_its_end_is_answered_408(server: Server, sent: bytes) -> None:
    with connection(server) as client:
        client.sendall(sent)
        answer = until_closed(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == 408


@pytest.mark.parametrize("sent", [b"", b"\r\n", REQUEST + b"\r\n"], ids=["nothing", "blank", "blank after a request"])
def test_a_connection_without_a_request_is_closed(server: Server, sent: bytes) -> None:
    with connection(server) as client:
        client.sendall(sent)
        answer = until_closed(client)
    assert b"408" not in answer
    assert answer.count(b"HTTP/1.1 200") == sent.count(b"POST")


def test_500_connections_of_a_byte_a_second_harm_nobody(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connection(server)) for _ in range(500)]
        before = resident_mb(server)
        for second in range(4):
            for number, client in enumerate(clients):
                place = (number % (len(REQUEST) - 10)) + second  # some in the head, some in the body
                with contextlib.suppress(ConnectionError):
                    client.sendall(REQUEST[:place] if second == 0 else REQUEST[place - 1 : place])
            assert_others_are_served(server)
            time.sleep(1)
        assert all(
            b" 408 " in until_closed(client) or number % (len(REQUEST) - 10) == 0
            for number, client in enumerate(clients)
        )
    assert resident_mb(server) - before < 30
    deadline = time.monotonic() + 10
    while descriptors(server) > 60:
        assert time.monotonic() < deadline, "descriptors are left"
        time.sleep(0.1)


@pytest.mark.parametrize("flood", [b"x: " + b"a" * 1000 + b"\r\n", b"a" * 1000], ids=["many headers", "one header"])
def test_a_head_that_does_not_end_is_refused_at_64_kib(server: Server, flood: bytes) -> None:
    before = resident_mb(server)
    with connection(server) as client:
        client.sendall(b"GET /model HTTP/1.1\r\nhost: x\r\n" + (b"" if flood.startswith(b"x") else b"y: "))
        with contextlib.suppress(ConnectionError):
            for _ in range(100_000):
                client.sendall(flood)
        answer = until_closed(client)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")  # a reset may overtake it
    assert resident_mb(server) - before < 20
    assert_others_are_served(server)


def test_an_answer_that_nobody_takes_is_dropped(server: Server) -> None:
    request = json.dumps({"sequence": [1.0], "steps": 10_000}).encode()
    head = b"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    before = descriptors(server)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        address = urlsplit(server.url)
        client.connect((address.hostname, address.port))
        client.settimeout(5)
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(200):  # 200 kB of answer each
                client.sendall(head % len(request) + request)
        deadline = time.monotonic() + 30
        while descriptors(server) > before:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert_others_are_served(server)
