"""Malformed and hostile requests: refused, in bounded memory, and never taken for something else."""

import contextlib
import json
import socket
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.integration.wire import connected, until_closed
from tests.metrics import metric
from tests.reliability.clients import (
    BODY,
    HEAD,
    REQUEST,
    assert_others_are_served,
    honest,
    resident_mb,
    statuses,
)
from tests.reliability.results import Results
from tests.reliability.shapes import FOLLOWING, Shape, generated, offering, shapes
from tests.server import Server
from tests.waiting import wait_for

AT_ONCE = 16
MOST_MB = 20
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
TRAILERS = CHUNKED + b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)
FLOODS = {
    "many headers": (b"GET /model HTTP/1.1\r\nhost: x\r\n", b"x: " + b"a" * 1000 + b"\r\n"),
    "many small headers": (b"GET /model HTTP/1.1\r\nhost: x\r\n", b"x:\r\n" * 250),
    "many hosts": (b"GET /model HTTP/1.1\r\n", b"host: x\r\n" * 100),
    "one header": (b"GET /model HTTP/1.1\r\nhost: x\r\nx: ", b"a" * 1000),
    "one name": (b"GET /model HTTP/1.1\r\nhost: x\r\n", b"a" * 1000),
    "one target": (b"GET /", b"a" * 1000),
    "headers of a POST": (HEAD, b"x: " + b"a" * 1000 + b"\r\n"),
    "behind the last chunk": (TRAILERS, b"x: " + b"a" * 1000 + b"\r\n"),
    "behind the last chunk, small": (TRAILERS, b"x:\r\n" * 250),
    "an extension of a chunk": (CHUNKED + b"5;", b"a" * 1000),
    "extensions of small chunks": (CHUNKED, b"1;" + b"a" * 1000 + b"\r\n1\r\n"),
}
ENDLESS = {
    "announced": (HEAD + b"content-length: 100000000\r\n\r\n", b"1" * 65_536),
    "chunked": (CHUNKED, b"10000\r\n" + b"1" * 65_536 + b"\r\n"),
    "small chunks": (CHUNKED, b"1\r\n1\r\n" * 10_000),
    "one chunk": (CHUNKED + b"7fffffffffffffff\r\n", b"1" * 65_536),
    "below /v2": (
        HEAD.replace(b"/generate", b"/v2/models/small/infer") + b"transfer-encoding: chunked\r\n\r\n",
        b"10000\r\n" + b"1" * 65_536 + b"\r\n",
    ),
    "of a GET": (
        b"GET /model HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
        b"a\r\n0123456789\r\n" * 5000,
    ),
    "stream": (
        HEAD.replace(b"/generate", b"/generate/stream") + b"transfer-encoding: chunked\r\n\r\n",
        b"10000\r\n" + b"1" * 65_536 + b"\r\n",
    ),
}


def answers(server: Server, request: bytes) -> bytes:
    """All that comes until the server closes the connection."""
    with connected(server) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(request)
        return until_closed(client)


def poured(server: Server, endless: tuple[bytes, bytes], most: int) -> tuple[int, list[int]]:
    """Send a start and then a part, again and again, until the server ends it, or `most` bytes have gone.

    How many have, and the statuses of the answers.
    """
    start, part = endless
    sent = 0
    with connected(server) as client:
        client.sendall(start)
        with contextlib.suppress(ConnectionError, TimeoutError):
            client.settimeout(5)
            while sent < most:
                client.sendall(part)
                sent += len(part)
        client.settimeout(20)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_WR)
            return sent, statuses(until_closed(client))
    return sent, []


def not_cut(
    server: Server, tried: Iterable[tuple[bytes, bytes]], may: Sequence[list[int]]
) -> list[tuple[int, list[int]]]:
    """Those that the server took 100 MB of, or answered otherwise than it may: how much of it, and the statuses."""
    most = 100_000_000
    with ThreadPoolExecutor(AT_ONCE) as pool:
        became = [*pool.map(lambda endless: poured(server, endless, most), tried)]
    return [(sent, got) for sent, got in became if sent >= most or got not in may]


def wrong_ones(server: Server, tried: Iterable[Shape]) -> list[tuple[bytes, list[int]]]:
    """The shapes that were answered otherwise than they may be, with the statuses."""

    def one(shape: Shape) -> tuple[bytes, list[int]] | None:
        got = statuses(answers(server, shape.sent))
        return None if tuple(got) in shape.statuses else (shape.sent, got)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [wrong for wrong in pool.map(one, tried) if wrong is not None]


def test_what_could_be_read_in_two_ways_smuggles_nothing(patient: Server, results: Results, full: bool) -> None:
    made = list(generated())
    tried = [*shapes(), *made[:: 6 if full else 37]]
    tried += [offering(shape) for shape in (*shapes(), *made[3 :: 6 if full else 37])]
    before = resident_mb(patient)
    with honest(patient) as others:
        wrong = wrong_ones(patient, tried)
    growth = (resident_mb(patient) - before) / before
    row = others.result("requests that are not HTTP, smuggling shapes", len(tried), len(wrong), growth)
    results.add(row)
    assert wrong == []
    assert (row.wrong, row.lost) == (0, 0)
    assert "Traceback" not in patient.log.read_text()


def test_pipelined_requests_are_answered_in_their_order(patient: Server) -> None:
    last = REQUEST.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
    assert statuses(answers(patient, REQUEST * 30 + last)) == [200] * 31


def test_pipelined_garbage_ends_the_connection(patient: Server) -> None:
    # 400 comes at once, in the place of what has not been answered yet.
    *before, last = statuses(answers(patient, REQUEST * 3 + b"GARBAGE\r\n\r\n"))
    assert set(before) <= {200}
    assert last == 400
    assert_others_are_served(patient)


def test_garbage_behind_a_request_is_not_answered_in_the_middle_of_its_answer(patient: Server) -> None:
    body = json.dumps({"sequence": [1.0], "steps": 10_000}).encode()
    request = HEAD.replace(b"/generate", b"/generate/stream") + b"content-length: %d\r\n\r\n" % len(body) + body
    with connected(patient) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(request)
        received = client.recv(100)
        client.sendall(b"GARBAGE\r\n\r\n")
        received += until_closed(client)
    first, *more = received.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"200 ")
    assert not more or first.endswith(b"0\r\n\r\n"), "another answer begins before this one has ended"


def test_bodies_without_end_are_not_read(patient: Server, results: Results, full: bool) -> None:
    deep = [
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"sequence":' * 5_000,
        b'{"sequence": [1], "level": [' * 3_000,
    ]
    tried = [*ENDLESS.values()] * (10 if full else 1)
    before = resident_mb(patient)
    with honest(patient) as others:
        # Refused, for its size or since so many come at once, or cut off before that is read; a path that wants no body
        # does not wait.
        wrong = not_cut(patient, tried, ([413], [503], [200], []))
        grown = resident_mb(patient) - before
        for body in deep:
            for path in ("/generate", "/predict", "/generate/stream", "/v2/models/small/infer"):
                answer = httpx.post(f"{patient.url}{path}", content=body, headers={"content-type": "application/json"})
                if answer.status_code not in (400, 413, 422):
                    wrong.append((len(body), [answer.status_code]))
    requests = len(tried) + 4 * len(deep)
    row = others.result("bodies that do not end, 100 MB, 10^5-deep JSON", requests, len(wrong), grown / before)
    results.add(row)
    assert wrong == []
    assert (row.wrong, row.lost) == (0, 0)
    assert grown < MOST_MB


def test_floods_of_headers_are_cut(patient: Server, results: Results, full: bool) -> None:
    tried = [*FLOODS.values()] * (10 if full else 1)
    before = resident_mb(patient)
    with honest(patient) as others:
        wrong = not_cut(patient, tried, ([431], []))
    grown = resident_mb(patient) - before
    row = others.result("floods of headers", len(tried), len(wrong), grown / before)
    results.add(row)
    assert wrong == []
    assert (row.wrong, row.lost) == (0, 0)
    assert grown < MOST_MB


def test_floods_leave_nothing(patient: Server) -> None:
    grown = []
    for _ in range(2):
        before = resident_mb(patient)
        assert not_cut(patient, [FLOODS["many small headers"]] * 60, ([431], [])) == []
        grown.append(resident_mb(patient) - before)
    assert grown[1] < MOST_MB, "each had left its headers, of 2.6 MB"


@pytest.mark.parametrize("flood", FLOODS)
def test_a_head_that_does_not_end_is_answered_if_its_client_stops(patient: Server, flood: str) -> None:
    start, part = FLOODS[flood]
    answer = answers(patient, start + part * 80)
    assert statuses(answer) == [431]
    assert FOLLOWING not in answer


def test_a_client_that_vanishes_in_its_body_leaves_nothing(patient: Server) -> None:
    for place in (5, 60, len(REQUEST) - len(BODY) + 3, len(REQUEST)):
        for _ in range(25):
            with connected(patient) as client:
                client.sendall(REQUEST[:place])
    wait_for("the end of all work", lambda: metric(patient.url, "sine_pending_steps") == 0)
    assert_others_are_served(patient)
    assert json.loads(httpx.get(f"{patient.url}/readyz").text) == {"status": "ready"}
