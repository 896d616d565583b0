"""Tests of requests that offer another protocol, as stock clients do: the answer is HTTP/1.1's, whatever is offered."""

import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from websockets.sync.client import connect

from tests.integration.wire import answers, connected, post
from tests.server import Server, needs_edge

BODY = b'{"sequence": [0.1, 0.2, 0.3], "steps": 3}'
LONG = b'{"sequence": [0.1, 0.2, 0.3], "steps": 5000}'
TENSOR = b'{"inputs": [{"name": "sequence", "shape": [1, 2], "datatype": "FP64", "data": [0, 0.5]}]}'
BODIES = {
    "/predict": b'{"sequence": [0.1, 0.2, 0.3]}',
    "/generate": BODY,
    "/generate?x=1": BODY,  # no inline answer
    "/v2/models/sine/infer": TENSOR,
}

H2C = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
OFFERS = {
    "h2c": H2C,
    "upper case": H2C.upper(),
    "a list": H2C.replace(b"h2c", b"h2c, websocket"),
    "two offers": H2C + b"upgrade: websocket\r\n",
    "another one": b"connection: keep-alive, upgrade\r\nupgrade: TLS/1.2\r\n",
    "a WebSocket elsewhere": b"connection: Upgrade\r\nupgrade: websocket/14\r\n",
}

pytestmark = needs_edge


@pytest.fixture(scope="module")
def server(alone: Server) -> Server:
    return alone


@pytest.fixture
def client(server: Server) -> Iterator[socket.socket]:
    with connected(server) as client:
        yield client


def expected(server: Server, path: str, body: bytes) -> bytes:
    """Return the answer to the same request without an offer."""
    return httpx.post(server.url + path, content=body, headers={"content-type": "application/json"}).content


def chunked(body: bytes, headers: bytes, path: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n"
    return head.encode() + headers + b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("offer", OFFERS)
def test_the_body_behind_an_offer_is_taken_and_the_connection_stays(
    server: Server, client: socket.socket, path: str, offer: str
) -> None:
    body = BODIES[path]
    for request in (post(body, OFFERS[offer], path), chunked(body, OFFERS[offer], path), post(body, b"", path)):
        client.sendall(request)
        ((status, headers, content),) = answers(client, 1)
        assert (status, content) == (200, expected(server, path, body))
        assert "upgrade" not in headers
        assert "connection" not in headers


@pytest.mark.parametrize("size", [1, 7, 64])
@pytest.mark.parametrize("path", ["/generate", "/generate?x=1"])
def test_an_offer_may_come_in_pieces(server: Server, client: socket.socket, path: str, size: int) -> None:
    requests = post(BODY, H2C, path) + chunked(BODY, H2C, path)
    for first in range(0, len(requests), size):
        client.sendall(requests[first : first + size])
        time.sleep(0.001)
    content = expected(server, path, BODY)
    assert [(status, body) for status, _, body in answers(client, 2)] == [(200, content)] * 2


def test_a_body_may_come_long_after_an_offer(server: Server, client: socket.socket) -> None:
    request = post(BODY, H2C)
    client.sendall(request[: -len(BODY)])
    time.sleep(0.1)
    client.sendall(BODY)
    assert answers(client, 1)[0][2] == expected(server, "/generate", BODY)


def test_an_expectation_beside_an_offer_is_met(server: Server, client: socket.socket) -> None:
    request = post(BODY, H2C + b"expect: 100-continue\r\n")
    client.sendall(request[: -len(BODY)])
    with client.makefile("rb") as received:
        assert (received.readline(), received.readline()) == (b"HTTP/1.1 100 Continue\r\n", b"\r\n")
    client.sendall(BODY)
    assert answers(client, 1)[0][2] == expected(server, "/generate", BODY)


def test_offers_in_a_pipeline_are_answered_in_their_order(server: Server, client: socket.socket) -> None:
    get = b"GET /livez HTTP/1.1\r\nhost: x\r\n%b\r\n"
    requests = [post(LONG), post(BODY, H2C), get % H2C, post(LONG, H2C), chunked(BODY, H2C, "/generate"), get % b""]
    small, long = expected(server, "/generate", BODY), expected(server, "/generate", LONG)
    client.sendall(b"".join(requests))
    alive = b'{"status":"alive"}'
    assert [body for _, _, body in answers(client, 6)] == [long, small, alive, long, small, alive]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/model", 200), ("DELETE", "/model", 405), ("GET", "/live", 404), ("POST", "/predict", 422)],
)
def test_every_method_may_offer(client: socket.socket, method: str, path: str, status: int) -> None:
    client.sendall(f"{method} {path} HTTP/1.1\r\nhost: x\r\n".encode() + H2C + b"content-length: 2\r\n\r\n{}")
    client.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
    assert [found for found, _, _ in answers(client, 2)] == [status, 200]


def test_a_websocket_is_still_taken(server: Server) -> None:
    with connect(server.url.replace("http", "ws", 1) + "/live") as live:
        live.send("0.5")
        assert "prediction" in json.loads(live.recv())


def test_a_websocket_with_a_body_is_refused(client: socket.socket) -> None:
    client.sendall(post(BODY, b"connection: upgrade\r\nupgrade: websocket\r\n"))
    ((status, headers, body),) = answers(client, 1)
    assert (status, headers["connection"]) == (400, "close")
    assert "has no body" in json.loads(body)["detail"]
