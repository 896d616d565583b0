"""Refusals that depend on more than what was sent, provoked one by one, and held to the OpenAPI document.

Fuzzers find the others (`test_fuzz.py`). 500 is what nothing provokes.
"""

import json
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest
import schemathesis

from app.server.http import HEAD_BYTES
from app.server.shedding import MAX_TAKEN
from tests.artifacts import make_small_artifact
from tests.gate import Gate
from tests.integration.wire import Answer, accepted, answers, post, stopped
from tests.keys import AS_ADMIN, admin_keys
from tests.metrics import metric
from tests.reliability.clients import RECEIVE_S, assert_no_errors
from tests.reliability.results import Result, Results
from tests.server import Server, serve
from tests.waiting import wait_for

MAX_SEQUENCE, MAX_STEPS = 4096, 10_000_000
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Gate:
    return Gate(tmp_path_factory.mktemp("gate"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, gate: Gate) -> Iterator[Server]:
    """One worker, which refuses almost anything beside four long rollouts, and takes seconds to leave."""
    folder = tmp_path_factory.mktemp("declared")
    limits = {"max_sequence": MAX_SEQUENCE, "max_steps": MAX_STEPS, "max_pending_s": 1e-6, "timeout_s": 3600}
    times = {"receive_timeout_s": RECEIVE_S, "drain_delay_s": 20}
    model = make_small_artifact(folder, hidden=64)
    with serve(folder, gate, model=model, workers=1, admin_keys=admin_keys(folder), **limits, **times) as server:
        yield server
        assert_no_errors(server)


class Document:
    """What the server says that it answers."""

    def __init__(self, raw: Any) -> None:
        self.paths = raw["paths"]
        self.held = 0
        self._schema = schemathesis.openapi.from_dict(raw)

    def hold(self, answer: Answer, method: str, path: str) -> None:
        """Assert that an answer is one that this operation has, in its form, with its headers."""
        status, headers, content = answer
        assert str(status) in self.paths[template(path)][method.lower()]["responses"]
        request = httpx.Request(method, f"http://x{path}")
        response = httpx.Response(status, headers=headers, content=content, request=request)
        response.elapsed = timedelta()
        self._schema[template(path)][method].validate_response(response)
        self.held += 1

    def hold_503(self, answer: Answer, method: str, path: str) -> None:
        """The same, and that it is said when to come again."""
        status, headers, content = answer
        assert status == 503, content
        self.hold(answer, method, path)
        assert "Retry-After" in self.paths[template(path)][method.lower()]["responses"]["503"]["headers"]
        assert int(headers["retry-after"]) >= 1


def template(path: str) -> str:
    """A path as the document has it."""
    for name, parameter in (("small", "{model}"), ("other", "{model}"), ("versions/1", "versions/{version}")):
        path = path.replace(name, parameter)
    return path


@pytest.fixture(scope="module")
def document(server: Server) -> Document:
    return Document(httpx.get(f"{server.url}/openapi.json").json())


def ask(server: Server, method: str, path: str, body: bytes, headers: Mapping[str, str] = JSON) -> Answer:
    """The answer to one request. Unlike httpx, it sends a body that is not what its headers say."""
    connection = HTTPConnection(*server.address, timeout=30)
    connection.request(method, path, body, {**JSON, **headers})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, {name.lower(): text for name, text in answer.getheaders()}, content


@pytest.mark.parametrize(
    ("status", "path", "headers", "body"),
    [
        (400, "/v2/models/small/infer", {}, b"{}"),
        (401, "/admin/reload", {}, b""),
        (404, "/v2/models/other/infer", {}, b"{}"),
        (408, "/generate", {"content-length": "10"}, b"{"),
        (408, "/v2/models/small/infer", {"content-length": "10"}, b"{"),
        (413, "/predict", {"content-length": "10000000"}, b""),
        (413, "/v2/models/small/infer", {"content-length": "10000000"}, b""),
        (413, "/v2/repository/index", {"content-length": "10000000"}, b""),
        (415, "/predict", {"content-encoding": "gzip"}, b"{}"),
        (415, "/generate/stream", {"content-encoding": "br"}, b"{}"),
        (415, "/v2/models/small/infer", {"content-encoding": "br"}, b"{}"),
        (422, "/generate/stream", {}, b"{}"),
        (504, "/generate", {}, b'{"sequence": [1], "steps": 5000, "timeout_s": 1e-9}'),
    ],
)
def test_what_is_refused_for_other_reasons_than_its_content_is_declared_too(
    server: Server, document: Document, status: int, path: str, headers: dict[str, str], body: bytes
) -> None:
    answer = ask(server, "POST", path, body, headers)
    assert answer[0] == status, answer
    document.hold(answer, "POST", path)


@pytest.mark.parametrize("path", ["/predict", "/v2/models/small/infer"])
def test_a_head_without_an_end_is_refused_as_declared(server: Server, document: Document, path: str) -> None:
    with socket.create_connection(server.address, timeout=30) as client:
        client.sendall(b"POST %b HTTP/1.1\r\nhost: x\r\nx: " % path.encode() + b"x" * HEAD_BYTES)
        answer = answers(client, 1)[0]
    assert answer[0] == 431, answer
    document.hold(answer, "POST", path)


# 503, of which there are three: too much work waits, too many requests come at once, the service leaves.

LONG = [0.5] * MAX_SEQUENCE
TENSOR = {"name": "sequence", "shape": [1, MAX_SEQUENCE], "datatype": "FP64", "data": LONG}
WORK: dict[str, dict[str, object]] = {
    "/predict": {"sequence": LONG},
    "/generate": {"sequence": [1], "steps": 5_000},
    "/generate/stream": {"sequence": [1], "steps": 5_000},
    "/v2/models/small/infer": {"inputs": [TENSOR]},
    "/v2/models/small/versions/1/infer": {"inputs": [TENSOR]},
    "/forecast": {"series": [{"unique_id": "a", "y": LONG}], "horizon": 1},
    "/v1/timeseries/forecast": {
        "model": "small",
        "inputs": [{"type": "univariate_time_series", "name": "a", "series": LONG, "frequency": "day"}],
        "options": {"horizon": 1},
    },
}
"""For all routes that forecast: more than is done at once, on the event loop."""

OTHER_POSTS = ["/v2/repository/index", "/admin/reload"]
READINESS = ["/readyz", "/v2/health/ready", "/v2/models/small/ready", "/v2/models/small/versions/1/ready"]

OF_MODEL = [f"/v2/models/{{model}}{version}" for version in ("", "/versions/{version}")]
NEVER_SEEN = ["/model", "/models", "/metrics", "/v2", "/v2/health/live", "/v2/models/stats", "/v1/timeseries/models"]
NEVER_SEEN += [f"{path}{what}" for path in OF_MODEL for what in ("", "/config", "/stats")]
"""Where a worker has no model, it has no socket either. `test_scarcity.py` has what lacks memory or a descriptor."""


def test_these_are_all_routes_that_declare_503(document: Document) -> None:
    found = {
        (method, path)
        for path, operations in document.paths.items()
        for method, operation in operations.items()
        if "503" in operation["responses"]
    }
    posts = {("post", template(path)) for path in [*WORK, *OTHER_POSTS]}
    assert found == posts | {("get", template(path)) for path in READINESS + NEVER_SEEN}


@contextmanager
def too_much_work(server: Server, gate: Gate) -> Iterator[None]:
    """In the block, the gate is closed, and so many long rollouts wait that one more is refused."""
    refused = partial(metric, server.url, "sine_refusals_total", headers=AS_ADMIN)
    before = refused()
    with gate.closed(), ExitStack() as stack:
        for _ in range(40):  # five do, but for what a step costs on a busy machine
            client = stack.enter_context(socket.create_connection(server.address))
            client.sendall(post(b'{"sequence": [1], "steps": %d}' % MAX_STEPS))
        wait_for("a refusal", lambda: refused() > before)
        yield


@pytest.mark.parametrize("path", WORK)
def test_too_much_work_is_refused_as_declared(server: Server, gate: Gate, document: Document, path: str) -> None:
    body = json.dumps(WORK[path]).encode()
    assert ask(server, "POST", path, body)[0] == 200
    with too_much_work(server, gate):
        answer = ask(server, "POST", path, body)
    document.hold_503(answer, "POST", path)
    assert b"Too much work is waiting" in answer[2]
    wait_for("the end of all work", lambda: metric(server.url, "sine_pending_steps", headers=AS_ADMIN) == 0)


def test_too_many_requests_at_once_are_refused_as_declared(server: Server, document: Document) -> None:
    predictions = post(b'{"sequence": [1]}', path="/predict") * (2 * MAX_TAKEN // 16)
    for path in [*WORK, *OTHER_POSTS]:
        with accepted(server, 17) as (last, *others):
            with stopped(server):
                for client in others:
                    client.sendall(predictions)
                last.sendall(post(b"{}", path=path))
            (answer,) = answers(last, 1)
        document.hold_503(answer, "POST", path)
        assert "x-request-id" not in answer[1], "shed before the application"


def test_a_service_that_leaves_says_so_as_declared(server: Server, document: Document, results: Results) -> None:
    """At last, because then it is gone."""
    server.process.send_signal(signal.SIGTERM)
    wait_for("it to say so", lambda: httpx.get(f"{server.url}/readyz").status_code != 200)
    for path in READINESS:
        document.hold_503(ask(server, "GET", path, b"", {}), "GET", path)
    server.process.send_signal(signal.SIGINT)  # now
    held = document.held
    results.add(Result("refusals that depend on more than content, against the document", held, held, held, 0, 0))
