"""`SINE_HTTP=uvicorn` takes the HTTP edge out: uvicorn's own protocols serve everything, with the same answers."""

from collections.abc import Iterator

import httpx
import pytest
from websockets.sync.client import connect

from tests.server import Server, serve

JSON = {"content-type": "application/json"}
SEQUENCE = [0.0, 0.3, 0.6, 0.8, 1.0]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("plain"), workers=1, http="uvicorn") as server:
        yield server


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/predict", b'{"sequence": [0.1, 0.2, 0.3]}'),
        ("POST", "/generate", b'{"sequence": [0.1, 0.2, 0.3], "steps": 9, "level": [80]}'),
        ("POST", "/generate", b'{"sequence": [0.1, 0.2, 0.3], "steps": 5000}'),
        ("POST", "/generate/stream", b'{"sequence": [0.1, 0.2, 0.3], "steps": 100}'),
        ("POST", "/predict", b'{"sequence": []}'),
        ("POST", "/predict", b"1" * 4_000_000),
        ("GET", "/model", b""),
        ("GET", "/v2/models/sine", b""),
        ("GET", "/nothing", b""),
        ("GET", "/", b""),
    ],
)
def test_the_answers_are_those_of_the_edge(alone: Server, plain: Server, method: str, path: str, body: bytes) -> None:
    edge, own = (httpx.request(method, server.url + path, content=body, headers=JSON) for server in (alone, plain))
    varying = {"date", "x-request-id"}
    assert edge.status_code == own.status_code
    assert edge.content == own.content
    assert {name: edge.headers[name] for name in edge.headers.keys() - varying} == {
        name: own.headers[name] for name in own.headers.keys() - varying
    }


def test_live_answers(alone: Server, plain: Server) -> None:
    answers = []
    for server in (alone, plain):
        with connect(server.url.replace("http", "ws", 1) + "/live") as socket:
            for value in SEQUENCE:
                socket.send(str(value))
            answers.append([socket.recv() for _ in SEQUENCE])
    assert len(answers[0]) == len(SEQUENCE)
    assert answers[0] == answers[1]


def test_it_stops_in_order(plain: Server) -> None:
    assert httpx.get(f"{plain.url}/readyz").status_code == 200
    plain.process.terminate()
    assert plain.process.wait(30) == 0
    assert "Application shutdown complete" in plain.log.read_text()
