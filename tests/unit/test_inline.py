"""Inline answers: which requests they are for, what is sent, and what is recorded. Neither uvicorn nor ASGI is here."""

import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from app.api.dependencies import service_of
from app.engine.reload import Serving
from app.main import create_app, immediate
from app.server.inline import Immediate, InlineResponder
from app.settings import Settings
from app.telemetry.context import current
from app.telemetry.metrics import Metrics
from app.telemetry.middleware import Recorder
from tests.artifacts import make_small_artifact
from tests.metrics import total

pytestmark = pytest.mark.anyio

DEFAULTS = [(b"date", b"today")]
JSON = (b"content-type", b"application/json")

INFER, INFER_VERSION = "/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer"
TENSOR = b'{"inputs": [{"name": "sequence", "shape": [2, 3], "datatype": "FP32", "data": [1, 2, 3, 3, 2, 1]}]'


class Inline:
    """A responder, what it has sent, and what it has counted."""

    def __init__(self, settings: Settings) -> None:
        self.metrics = Metrics(["/predict", "/generate", INFER, INFER_VERSION])
        self.serving = Serving(settings, self.metrics)
        self.recorder = Recorder(self.metrics, None)
        service = service_of(create_app(settings))
        self.responder = InlineResponder(self.serving, partial(immediate, service), self.recorder, max_body_bytes=1000)
        self.sent: list[bytes] = []

    def ask(self, url: bytes, body: bytes, *more: tuple[bytes, bytes]) -> bool:
        headers = [JSON, (b"x-request-id", b"mine"), *more]
        endpoint = self.endpoint(url)
        return self.responder.answer(endpoint, headers, body, 0.0, DEFAULTS, self.sent.append)

    def endpoint(self, url: bytes) -> Immediate:
        endpoint = self.responder.endpoint_for(url, [(b"content-length", b"0")])
        assert endpoint is not None
        return endpoint

    def counted(self, name: str, **labels: str) -> float:
        self.recorder.count()
        return total(self.metrics.expose().decode(), name, **labels)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def inline(tmp_path: Path) -> AsyncIterator[Inline]:
    settings = Settings(model=make_small_artifact(tmp_path))
    inline = Inline(settings)
    inline.serving.start()
    yield inline
    inline.serving.stop()


@pytest.mark.parametrize(
    ("url", "length", "expected"),
    [
        (b"/predict", b"1000", True),
        (b"/generate", b"0", True),
        (b"/predict", b"1001", False),
        (b"/predict", None, False),
        (b"/predict?x=1", b"10", False),
        (b"/model", b"10", False),
        (b"/v2/models/small/infer", b"10", True),
        (b"/v2/models/small/versions/1/infer", b"10", True),
        (b"/v2/models/small/versions/2/infer", b"10", False),
        (b"/v2/models/sm%61ll/infer", b"10", False),
        (b"/v2/models/small/infer?x=1", b"10", False),
        (b"/v2/models/small/stats", b"10", False),
    ],
)
async def test_it_takes_bodies_of_a_known_and_small_size(
    inline: Inline, url: bytes, length: bytes | None, expected: bool
) -> None:
    headers = [JSON] if length is None else [JSON, (b"content-length", length)]
    assert (inline.responder.endpoint_for(url, headers) is not None) == expected


@pytest.mark.parametrize("coding", [b"gzip", b"identity", b""])
async def test_it_leaves_every_coding_of_a_body_to_the_application(inline: Inline, coding: bytes) -> None:
    headers = [(b"content-length", b"10"), JSON, (b"content-encoding", coding)]
    assert not inline.responder.endpoint_for(b"/predict", headers)
    assert not inline.responder.endpoint_for(b"/predict", headers[::-1])


async def test_a_small_forecast_is_one_whole_response(inline: Inline) -> None:
    assert inline.ask(b"/generate", b'{"sequence": [0.1, 0.2], "steps": 3}')
    (response,) = inline.sent
    head, _, body = response.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[:2] == [b"HTTP/1.1 200 OK", b"date: today"]
    assert lines[-1] == b"x-request-id: mine"
    assert b"content-length: %d" % len(body) in lines
    assert len(json.loads(body)["values"]) == 3
    assert current() is None
    assert inline.counted("sine_requests_total", route="/generate", status="200") == 1


async def test_a_refusal_is_answered_too(inline: Inline) -> None:
    assert inline.ask(b"/predict", b'{"sequence": []}')
    assert inline.sent[0].startswith(b"HTTP/1.1 422 ")
    assert inline.counted("sine_refusals_total", reason="invalid_request") == 1


async def test_much_work_is_left_to_the_application(inline: Inline) -> None:
    assert not inline.ask(b"/generate", b'{"sequence": [0.1], "steps": 10000}')
    assert inline.sent == []
    assert current() is None
    assert inline.counted("sine_requests_total") == 0


@pytest.mark.parametrize(
    ("url", "route"),
    [(b"/v2/models/small/infer", INFER), (b"/v2/models/small/versions/1/infer", INFER_VERSION)],
)
async def test_a_small_batch_of_the_open_inference_protocol_is_one_whole_response(
    inline: Inline, url: bytes, route: str
) -> None:
    assert inline.ask(url, TENSOR + b', "parameters": {"steps": 2}}')
    head, _, body = inline.sent[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    (output,) = json.loads(body)["outputs"]
    assert (output["shape"], len(output["data"])) == ([2, 2], 4)
    assert inline.counted("sine_requests_total", route=route, status="200") == 1


async def test_binary_tensors_are_answered_as_binary_tensors(inline: Inline) -> None:
    body = TENSOR.replace(b'"data": [1, 2, 3, 3, 2, 1]', b'"parameters": {"binary_data_size": 24}')
    body += b', "parameters": {"binary_data_output": true}}'
    raw = np.array([1, 2, 3, 3, 2, 1], "<f4").tobytes()
    length = (b"inference-header-content-length", b"%d" % len(body))
    assert inline.ask(b"/v2/models/small/infer", body + raw, length)
    head, _, content = inline.sent[0].partition(b"\r\n\r\n")
    headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert headers[b"content-type"] == b"application/octet-stream"
    assert len(content) == int(headers[b"inference-header-content-length"]) + 2 * 4


async def test_a_refusal_has_the_form_of_the_open_inference_protocol(inline: Inline) -> None:
    assert inline.ask(b"/v2/models/small/infer", b"{}")
    head, _, body = inline.sent[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body).keys() == {"error"}


@pytest.mark.parametrize(
    ("url", "steps", "more"),
    [
        (b"/v2/models/small/infer", 10_000, []),
        (b"/v2/models/small/infer", 1, [(b"accept-encoding", b"gzip")]),
        (b"/v2/models/other/infer", 1, []),
    ],
    ids=["much work", "an answer to compress", "an unknown model"],
)
async def test_other_batches_are_left_to_the_application(
    inline: Inline, url: bytes, steps: int, more: list[tuple[bytes, bytes]]
) -> None:
    assert not inline.ask(url, TENSOR + b', "parameters": {"steps": %d}}' % steps, *more)
    assert inline.sent == []
    assert inline.counted("sine_requests_total") == 0


async def test_a_service_that_is_stopping_says_so(inline: Inline) -> None:
    inline.serving.stop()
    assert inline.ask(b"/predict", b'{"sequence": [1]}')
    assert inline.sent[0].startswith(b"HTTP/1.1 503 ")


async def test_a_client_that_left_is_recorded(inline: Inline) -> None:
    inline.responder.record_gone(inline.endpoint(b"/predict"), [JSON], 0.0)
    assert current() is None
    assert inline.counted("sine_requests_total", route="/predict", status="499") == 1
    assert inline.counted("sine_refusals_total", reason="client_gone") == 1
