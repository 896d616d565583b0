"""Malformed and hostile requests: refused, in bounded memory, and never taken for something else."""

import contextlib
import json
import time

import httpx
import pytest

from tests.reliability.clients import (
    BODY,
    REQUEST,
    assert_others_are_served,
    connection,
    resident_mb,
    until_closed,
)
from tests.server import Server

HEAD = b"POST /generate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


def sent(patient: Server, request: bytes) -> bytes:
    with connection(patient) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(request)
        return until_closed(client)


def statuses(answer: bytes) -> list[int]:
    """The statuses of all answers on a connection."""
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize(
    "request_",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\nhost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nx: a\x00b\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost : x\r\n\r\n",
        b"GET / HTTP/1.1\nhost: x\n\n" + b"\x00",
        HEAD + b"content-length: -1\r\n\r\n",
        HEAD + b"content-length: 1e3\r\n\r\n",
        HEAD + b"content-length: 99999999999999999999999\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nxyz\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n123456789\r\n0\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(patient: Server, request_: bytes) -> None:
    assert set(statuses(sent(patient, request_))) <= {400, 404, 408, 505}
    assert_others_are_served(patient)


@pytest.mark.parametrize(
    "framing",
    [
        b"content-length: 4\r\ncontent-length: 30\r\n\r\n",
        b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n",
        b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n",
        b"transfer-encoding: xchunked\r\n\r\n",
        b"transfer-encoding: chunked, identity\r\n\r\n",
        b"transfer-encoding : chunked\r\n\r\n",
        b"content-length: 4\r\n content-length: 0\r\n\r\n",
        b"content-length: +4\r\n\r\n",
        b"content-length: 0x4\r\n\r\n",
        b"content-length: 4, 4\r\n\r\n",
        b"content-length: 4\r\ntransfer-encoding: identity\r\n\r\n",
        b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n",
        b"transfer-encoding:\x0bchunked\r\n\r\n",
        b"transfer-encoding: chun\r\n ked\r\n\r\n",
        b"transfer-encoding\r\n: chunked\r\n\r\n",
    ],
)
def test_a_body_that_two_servers_could_frame_differently_smuggles_nothing(
    patient: Server,
    framing: bytes,
) -> None:
    """What looks like a second request in an ambiguous body must not be answered."""
    smuggled = b"0\r\n\r\nGET /model HTTP/1.1\r\nhost: x\r\n\r\n"
    answer = sent(patient, HEAD + framing + smuggled)
    assert 200 not in statuses(answer)
    assert b"digest" not in answer
    assert_others_are_served(patient)


def test_pipelined_requests_are_answered_in_their_order(patient: Server) -> None:
    last = REQUEST.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
    assert statuses(sent(patient, REQUEST * 30 + last)) == [200] * 31


def test_pipelined_garbage_ends_the_connection(patient: Server) -> None:
    # Uvicorn answers 400 at once, in the place of what it has not answered yet.
    *before, last = statuses(sent(patient, REQUEST * 3 + b"GARBAGE\r\n\r\n"))
    assert set(before) <= {200}
    assert last == 400
    assert_others_are_served(patient)


@pytest.mark.parametrize("opening", [b"[", b'{"sequence":', b'{"sequence": [1], "level": ['])
def test_json_of_100_000_levels_is_refused_like_any_other(patient: Server, opening: bytes) -> None:
    for body in (opening * 100_000, b"[" * 100_000 + b"]" * 100_000):
        answer = httpx.post(f"{patient.url}/generate", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (413, 422)
    assert_others_are_served(patient)


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_of_100_mb_is_not_read(patient: Server, announced: bool) -> None:
    before, size = resident_mb(patient), 100_000_000
    framing = b"content-length: %d\r\n\r\n" % size if announced else b"transfer-encoding: chunked\r\n\r\n"
    part = b"1" * 65_536
    taken = 0
    with connection(patient) as client:
        client.sendall(HEAD + framing)
        with contextlib.suppress(ConnectionError, TimeoutError):
            client.settimeout(5)
            while taken < size:
                client.sendall(part if announced else b"%x\r\n%b\r\n" % (len(part), part))
                taken += len(part)
        answer = until_closed(client)
    assert statuses(answer) in ([413], [])  # a reset may overtake it
    assert taken < size / 2
    assert resident_mb(patient) - before < 20
    assert_others_are_served(patient)


def test_a_client_that_vanishes_in_its_body_leaves_nothing(patient: Server) -> None:
    for place in (5, 60, len(REQUEST) - len(BODY) + 3, len(REQUEST)):
        for _ in range(25):
            with connection(patient) as client:
                client.sendall(REQUEST[:place])
    deadline = time.monotonic() + 10
    while httpx.get(f"{patient.url}/metrics").text.find("sine_pending_steps 0.0") < 0:
        assert time.monotonic() < deadline
    assert_others_are_served(patient)
    assert json.loads(httpx.get(f"{patient.url}/readyz").text) == {"status": "ready"}
