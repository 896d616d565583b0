"""Slow clients: bounded time, bounded memory, and nobody else is harmed."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from websockets.frames import Frame, Opcode

from tests.integration.wire import connected, stopped, until_closed
from tests.reliability.clients import (
    BODY,
    HEAD,
    RECEIVE_S,
    REQUEST,
    assert_others_are_served,
    descriptors,
    honest,
    resident_mb,
    statuses,
)
from tests.reliability.results import Results
from tests.server import Server
from tests.waiting import wait_for

LARGE = json.dumps({"sequence": [1.0], "steps": 10_000}).encode()
FRAMED = b"content-length: %d\r\n\r\n%b" % (len(LARGE), LARGE)
STREAM = HEAD.replace(b"/generate", b"/generate/stream") + FRAMED
HANDSHAKE = (
    b"GET /live HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MESSAGE = Frame(Opcode.TEXT, b'{"sequence": [1], "return_state": true}').serialize(mask=True)
MOST_MB = 150
"""For 500 connections; of which a reader has at most one large answer, and a stream or a message what is on its way."""


@pytest.mark.parametrize("sent", [REQUEST[:20], REQUEST[: -len(BODY) - 2], REQUEST[:-1]], ids=["line", "head", "body"])
def test_a_request_that_does_not_come_to_its_end_is_answered_408(patient: Server, sent: bytes) -> None:
    with connected(patient) as client:
        client.sendall(sent)
        answer = until_closed(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == 408


@pytest.mark.parametrize("sent", [b"", b"\r\n", REQUEST + b"\r\n"], ids=["nothing", "blank", "blank after a request"])
def test_a_connection_without_a_request_is_closed(patient: Server, sent: bytes) -> None:
    with connected(patient) as client:
        client.sendall(sent)
        answer = until_closed(client)
    assert 408 not in statuses(answer)  # digits elsewhere may be the same
    assert answer.count(b"HTTP/1.1 200") == sent.count(b"POST")


def test_a_server_that_was_kept_from_running_reads_before_it_looks_at_the_clock(patient: Server) -> None:
    with connected(patient) as client:
        client.sendall(REQUEST)
        assert client.recv(65_536).startswith(b"HTTP/1.1 200")
        time.sleep(1.1 * RECEIVE_S)
        with stopped(patient):
            client.sendall(REQUEST)
            time.sleep(1.5 * RECEIVE_S)
        assert client.recv(65_536).startswith(b"HTTP/1.1 200")


class Slow:
    """One slow connection: a byte a second one way, or nothing at all."""

    def __init__(self, server: Server, at_once: bytes, bytewise: bytes = b"", reads: bool = False) -> None:
        """`at_once` is sent at the start, `bytewise` a byte a second; with `reads`, so is what is read."""
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect(server.address)
        self._socket.setblocking(False)
        self._now, self._later, self._reads = at_once, bytewise, reads

    def second(self) -> bool:
        """Do what there is to do in a second; whether the connection still stands, as far as can be seen."""
        try:
            if self._now:
                self._now = self._now[self._socket.send(self._now) :]
            elif self._later:
                self._later = self._later[self._socket.send(self._later[:1]) :]
            return not (self._reads and self._socket.recv(1) == b"")
        except BlockingIOError:
            return True
        except ConnectionError:
            return False

    def close(self) -> None:
        self._socket.close()


def slow_clients(server: Server) -> Iterator[Slow]:
    """Ever more of them, of all sorts."""
    place = 0
    while True:
        place = place % (len(REQUEST) - 1) + 1  # some in the head, some in the body
        yield Slow(server, REQUEST[:place], REQUEST[place:])
        yield Slow(server, REQUEST[:place], REQUEST[place:])
        yield Slow(server, (HEAD + FRAMED) * 5)  # reads nothing of 1 MB
        yield Slow(server, (HEAD + FRAMED) * 5, reads=True)
        yield Slow(server, STREAM * 5)
        yield Slow(server, STREAM * 5, reads=True)
        yield Slow(server, HANDSHAKE, MESSAGE)
        yield Slow(server, HANDSHAKE + MESSAGE * 5000)


def test_500_connections_of_a_byte_a_second_harm_nobody(patient: Server, results: Results, full: bool) -> None:
    """Senders and readers. Whoever was cut off is replaced by another one, so that there are 500 all the time."""
    seconds, at_once, tried, most = 30 if full else 3, 500, 0, 0.0
    more = slow_clients(patient)
    before = resident_mb(patient)
    with honest(patient) as others, ExitStack() as stack:
        clients: list[Slow] = []
        for _ in range(seconds):
            for _ in range(at_once - len(clients)):
                clients.append(next(more))
                stack.callback(clients[-1].close)
                tried += 1
            began = time.monotonic()
            clients = [client for client in clients if client.second()]
            most = max(most, resident_mb(patient) - before)
            time.sleep(max(0.0, began + 1 - time.monotonic()))
        # No client has closed its connection. Those to /live, a quarter, may stay until a ping has had no answer.
        wait_for("slow clients to be cut off", lambda: descriptors(patient) <= 60 + at_once / 3)
    row = others.result("slow connections (a byte a second, readers too)", tried, 0, most / before)
    results.add(row)
    assert (row.wrong, row.lost) == (0, 0)
    assert most < MOST_MB
    wait_for("the descriptors to be closed", lambda: descriptors(patient) <= 60)
    assert_others_are_served(patient)


@pytest.mark.parametrize("path", ["/generate", "/generate/stream", "/live"])
def test_an_answer_that_nobody_takes_is_dropped(patient: Server, path: str, full: bool) -> None:
    if path == "/live" and not full:
        pytest.skip("it takes 15,000 small answers until the system holds no more of them")
    start = b"" if path != "/live" else HANDSHAKE
    part = MESSAGE if path == "/live" else HEAD.replace(b"/generate", path.encode()) + FRAMED
    before = descriptors(patient)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(patient.address)
        client.settimeout(2)
        client.sendall(start)
        if start:
            assert client.recv(12) == b"HTTP/1.1 101"
        with contextlib.suppress(TimeoutError, ConnectionError):
            for _ in range(50_000):  # answers of 200 kB each, or small ones to many messages
                client.sendall(part)
        wait_for("the answer to be dropped", lambda: descriptors(patient) <= before)
    assert_others_are_served(patient)
