"""Tests of shedding under load: the refusal has the right form, the connection goes on, and no GET is refused.

The tests stop the server's process while they send requests, so that it finds them all in one turn of its event loop.
"""

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from app.server.shedding import MAX_TAKEN
from tests.integration.wire import Answer, accepted, answers, post, stopped
from tests.metrics import total
from tests.server import Server, needs_edge

SURPLUS = 300
"""The requests beyond one turn's limit. Some are refused, though the first may get a turn of their own.

A slow machine refuses more.
"""
PREDICT = b'{"sequence": [0.1, 0.2, 0.3]}'
INFER = b'{"inputs": [{"name": "sequence", "shape": [1, 3], "datatype": "FP64", "data": [0.1, 0.2, 0.3]}]}'


@pytest.fixture(scope="module")
def server(alone: Server) -> Server:
    return alone


@pytest.fixture(scope="module")
def connections(server: Server) -> Iterator[list[socket.socket]]:
    with accepted(server, MAX_TAKEN + SURPLUS) as made:
        yield made


def at_once(server: Server, connections: list[socket.socket], requests: list[bytes]) -> list[Answer]:
    """Send the requests so that all arrive in one turn. Return status, headers and body of each answer."""
    with stopped(server):
        for connection, request in zip(connections, requests, strict=True):
            connection.sendall(request)
    return [answer for connection in connections for answer in answers(connection, 1)]


@needs_edge
def test_a_refusal_says_when_to_retry_and_the_connection_goes_on(
    server: Server, connections: list[socket.socket]
) -> None:
    refusals = 0
    for _ in range(2):
        got = at_once(server, connections, [post(PREDICT, path="/predict")] * len(connections))
        refused = [answer for answer in got if answer[0] != 200]
        assert 0 < len(refused) < len(connections)
        refusals += len(refused)
        for status, headers, body in refused:
            assert status == json.loads(body)["status"] == 503
            assert headers["retry-after"] == "1"
            assert headers["content-type"] == "application/problem+json"
            assert "connection" not in headers
        text = httpx.get(f"{server.url}/metrics").text
        assert total(text, "sine_refusals_total", reason="overloaded") == refusals
        assert total(text, "sine_requests_total", route="/predict", status="503") == refusals
    assert {body for status, _, body in got if status == 200} == {
        httpx.post(f"{server.url}/predict", content=PREDICT, headers={"content-type": "application/json"}).content
    }


@needs_edge
def test_a_refusal_below_v2_has_the_form_of_its_protocol(server: Server, connections: list[socket.socket]) -> None:
    path = f"/v2/models/{httpx.get(f'{server.url}/model').json()['name']}/infer"
    got = at_once(server, connections, [post(INFER, path=path)] * len(connections))
    refused = [json.loads(body) for status, _, body in got if status == 503]
    assert 0 < len(refused) < len(connections)
    assert all(body.keys() == {"error"} for body in refused)


def test_status_requests_are_not_refused(server: Server, connections: list[socket.socket]) -> None:
    requests = [post(PREDICT, path="/predict")] * MAX_TAKEN + [b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n"] * SURPLUS
    assert {status for status, _, _ in at_once(server, connections, requests)[MAX_TAKEN:]} == {200}


@needs_edge
def test_a_connection_without_keep_alive_ends_with_its_refusal(
    server: Server, connections: list[socket.socket]
) -> None:
    closing = post(PREDICT, b"connection: close\r\n", "/predict")
    old = post(PREDICT, b"connection: keep-alive\r\n", "/predict", version="1.0")
    got = at_once(server, connections, [closing, old] * (len(connections) // 2))
    assert 0 < sum(status == 503 for status, _, _ in got) < len(connections)
    assert {headers["connection"] for _, headers, _ in got} == {"close"}
    assert all(connection.recv(1) == b"" for connection in connections)
