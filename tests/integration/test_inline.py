"""Tests of requests that are answered in the parser's callback, in any pieces, and in order with all others."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.server.timeouts import LINGER_S
from tests.integration.wire import answers, connected, post
from tests.metrics import metric
from tests.server import Server, needs_edge, serve
from tests.waiting import wait_for

SMALL = b'{"sequence": [0.1, 0.2, 0.3], "steps": 3}'
LONG = b'{"sequence": [0.1, 0.2, 0.3], "steps": 5000}'


@pytest.fixture(scope="module")
def server(alone: Server) -> Server:
    return alone


@pytest.fixture
def client(server: Server) -> Iterator[socket.socket]:
    with connected(server) as client:
        yield client


def expected(server: Server, body: bytes) -> bytes:
    """Return the answer of FastAPI's routing, which every request without a length takes."""
    parts = iter([body])
    return httpx.post(f"{server.url}/generate", content=parts, headers={"content-type": "application/json"}).content


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_request_may_come_in_pieces(server: Server, client: socket.socket, size: int) -> None:
    request = post(SMALL)
    for first in range(0, len(request), size):
        client.sendall(request[first : first + size])
        time.sleep(0.001)
    ((status, headers, body),) = answers(client, 1)
    assert (status, body) == (200, expected(server, SMALL))
    assert headers.keys() >= {"date", "x-content-type-options", "x-model-version", "x-request-id", "content-length"}


def test_pipelined_requests_are_answered_in_their_order(server: Server, client: socket.socket) -> None:
    small, long = expected(server, SMALL), expected(server, LONG)
    wrong = post(b"{}")
    client.sendall(
        post(SMALL) + post(LONG) + post(SMALL) + wrong + b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n" + post(SMALL)
    )
    got = answers(client, 6)
    assert [status for status, _, _ in got] == [200, 200, 200, 422, 200, 200]
    assert [body for _, _, body in got[:3]] == [small, long, small]
    assert json.loads(got[4][2]) == {"status": "alive"}
    assert got[5][2] == small


@pytest.mark.parametrize(
    ("headers", "version"),
    [(b"connection: close\r\n", "1.1"), (b"", "1.0"), (b"expect: 100-continue\r\nconnection: close\r\n", "1.1")],
)
def test_requests_that_end_the_connection_or_expect_100_go_on_to_uvicorn(
    server: Server, client: socket.socket, headers: bytes, version: str
) -> None:
    client.sendall(post(SMALL, headers, version=version))
    with client.makefile("rb") as received:
        got = received.read()
    head, _, body = got.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == expected(server, SMALL)
    assert b"connection: close" in head
    assert got.startswith(b"HTTP/1.1 100 ") == (b"expect" in headers)


def test_a_client_that_leaves_in_its_body_is_counted(server: Server, client: socket.socket) -> None:
    def left() -> float:
        return metric(server.url, "sine_requests_total", route="/generate", status="499")

    before = left()
    client.sendall(post(SMALL)[:-5])
    time.sleep(0.05)
    client.close()
    wait_for("it to be counted", lambda: left() == before + 1)


def test_a_body_that_is_on_its_way_when_the_service_stops_is_answered(tmp_path: Path) -> None:
    request = post(SMALL)
    with serve(tmp_path, workers=1) as stopping:
        with connected(stopping) as client:
            client.sendall(request + request[:-5])
            answers(client, 1)  # the server has read both requests
            stopping.process.terminate()
            wait_for("it to stop", lambda: "Shutting down" in stopping.log.read_text())
            time.sleep(2 * LINGER_S)
            client.sendall(request[-5:])
            ((status, headers, _),) = answers(client, 1)
        assert (status, headers["connection"]) == (200, "close")
        assert stopping.process.wait(30) == 0


def test_each_request_is_counted_and_logged_once(server: Server, client: socket.socket) -> None:
    def requests() -> float:
        return metric(server.url, "sine_requests_total", route="/predict")

    before = requests()
    one = post(b'{"sequence": [0.5]}', b"x-request-id: counted-once\r\n", "/predict")
    refused = post(b'{"sequence": []}', b"x-request-id: refused-once\r\n", "/predict")
    client.sendall(one + refused)
    got = answers(client, 2)
    assert [(status, headers["x-request-id"]) for status, headers, _ in got] == [
        (200, "counted-once"),
        (422, "refused-once"),
    ]
    wait_for("its line, after the answer", lambda: "refused-once" in server.log.read_text())
    log = server.log.read_text()
    assert log.count("counted-once") == log.count("refused-once") == 1
    assert requests() == before + 2


@pytest.mark.parametrize("announced", [True, False])
def test_a_client_that_sends_too_large_a_body_gets_the_refusal_and_may_ask_again(
    client: socket.socket, announced: bool
) -> None:
    large = b"1" * 4_000_000
    head = b"POST /generate HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    chunked = head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(large), large)
    client.sendall(post(large) if announced else chunked)
    client.sendall(post(SMALL))
    assert [status for status, _, _ in answers(client, 2)] == [413, 200]


@needs_edge
def test_the_refusal_of_a_large_body_is_sent_before_the_connection_closes(client: socket.socket) -> None:
    client.sendall(post(b"1" * 4_000_000, b"connection: close\r\n"))
    ((status, headers, _),) = answers(client, 1)
    assert (status, headers["connection"]) == (413, "close")
    assert client.recv(1) == b""


@needs_edge
def test_the_rest_of_a_refused_body_is_not_read_without_end(client: socket.socket) -> None:
    client.sendall(b"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n")
    assert answers(client, 1)[0][0] == 413
    with pytest.raises(ConnectionError):
        client.sendall(b"1" * 100_000_000)
