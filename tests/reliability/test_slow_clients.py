"""Slow and hostile clients: bounded time, bounded memory, and nobody else is harmed."""

import contextlib
import json
import socket
import time
from urllib.parse import urlsplit

import pytest

from tests.reliability.clients import (
    BODY,
    REQUEST,
    assert_others_are_served,
    connection,
    descriptors,
    resident_mb,
    until_closed,
)
from tests.server import Server


@pytest.mark.parametrize("sent", [REQUEST[:20], REQUEST[: -len(BODY) - 2], REQUEST[:-1]], ids=["line", "head", "body"])
def test_a_request_that_does_not_come_to_its_end_is_answered_408(patient: Server, sent: bytes) -> None:
    with connection(patient) as client:
        client.sendall(sent)
        answer = until_closed(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == 408


@pytest.mark.parametrize("sent", [b"", b"\r\n", REQUEST + b"\r\n"], ids=["nothing", "blank", "blank after a request"])
def test_a_connection_without_a_request_is_closed(patient: Server, sent: bytes) -> None:
    with connection(patient) as client:
        client.sendall(sent)
        answer = until_closed(client)
    assert b"408" not in answer
    assert answer.count(b"HTTP/1.1 200") == sent.count(b"POST")


def test_500_connections_of_a_byte_a_second_harm_nobody(patient: Server) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connection(patient)) for _ in range(500)]
        before = resident_mb(patient)
        for second in range(4):
            for number, client in enumerate(clients):
                place = (number % (len(REQUEST) - 10)) + second  # some in the head, some in the body
                with contextlib.suppress(ConnectionError):
                    client.sendall(REQUEST[:place] if second == 0 else REQUEST[place - 1 : place])
            assert_others_are_served(patient)
            time.sleep(1)
        assert all(
            b" 408 " in until_closed(client) or number % (len(REQUEST) - 10) == 0
            for number, client in enumerate(clients)
        )
    assert resident_mb(patient) - before < 30
    deadline = time.monotonic() + 10
    while descriptors(patient) > 60:
        assert time.monotonic() < deadline, "descriptors are left"
        time.sleep(0.1)


@pytest.mark.parametrize("flood", [b"x: " + b"a" * 1000 + b"\r\n", b"a" * 1000], ids=["many headers", "one header"])
def test_a_head_that_does_not_end_is_refused_at_64_kib(patient: Server, flood: bytes) -> None:
    before = resident_mb(patient)
    with connection(patient) as client:
        client.sendall(b"GET /model HTTP/1.1\r\nhost: x\r\n" + (b"" if flood.startswith(b"x") else b"y: "))
        with contextlib.suppress(ConnectionError):
            for _ in range(100_000):
                client.sendall(flood)
        answer = until_closed(client)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")  # a reset may overtake it
    assert resident_mb(patient) - before < 20
    assert_others_are_served(patient)


def test_an_answer_that_nobody_takes_is_dropped(patient: Server) -> None:
    request = json.dumps({"sequence": [1.0], "steps": 10_000}).encode()
    head = b"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    before = descriptors(patient)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        address = urlsplit(patient.url)
        client.connect((address.hostname, address.port))
        client.settimeout(5)
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(200):  # 200 kB of answer each
                client.sendall(head % len(request) + request)
        deadline = time.monotonic() + 30
        while descriptors(patient) > before:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert_others_are_served(patient)
