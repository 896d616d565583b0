"""Tests of HTTP/1.0 and of connections that close: every way to an answer announces the end, and then closes."""

import pytest

from tests.integration.wire import connected, post, until_closed
from tests.server import Server, needs_edge

SMALL = b'{"sequence": [0.1, 0.2, 0.3]}'
STEPS = b'{"sequence": [0.1, 0.2, 0.3], "steps": %d}'
TENSOR = b'{"inputs": [{"name": "sequence", "shape": [1, 2], "datatype": "FP64", "data": [0, 0.5]}]}'
REQUESTS = {
    "inline": ("POST", "/predict", SMALL, 200),
    "inline rollout": ("POST", "/generate", STEPS % 3, 200),
    "long rollout": ("POST", "/generate", STEPS % 5000, 200),
    "stream": ("POST", "/generate/stream", STEPS % 3, 200),
    "tensors": ("POST", "/v2/models/sine/infer", TENSOR, 200),
    "inline refusal": ("POST", "/predict", b"{}", 422),
    "refusal": ("POST", "/generate/stream", b"{}", 422),
    "too large": ("POST", "/predict", b"1" * 400_000, 413),
    "no route": ("GET", "/nothing", b"", 404),
    "route": ("GET", "/model", b"", 200),
    "page": ("GET", "/", b"", 200),
    "metrics": ("GET", "/metrics", b"", 200),
}


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize(
    ("version", "connection"), [("1.0", "keep-alive"), ("1.0", ""), ("1.0", "close"), ("1.1", "close")]
)
def test_the_connection_closes_after_the_answer_which_says_so(
    server: Server, request_name: str, version: str, connection: str
) -> None:
    method, path, body, status = REQUESTS[request_name]
    head = f"{method} {path} HTTP/{version}\r\nhost: x\r\ncontent-type: application/json\r\n"
    head += f"connection: {connection}\r\n" if connection else ""
    with connected(server) as client:
        client.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        answer = until_closed(client)
    first, *lines = answer.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    assert first.startswith(b"http/1.1 %d " % status)
    assert [line for line in lines if line.startswith(b"connection")] == [b"connection: close"]
    assert answer.count(b"HTTP/1.1 ") == 1


@needs_edge
def test_an_expectation_is_ignored_below_http_1_1(server: Server) -> None:
    request = post(SMALL, b"expect: 100-continue\r\n", "/predict", version="1.0")
    with connected(server) as client:
        client.sendall(request)
        assert until_closed(client).startswith(b"HTTP/1.1 200 ")
