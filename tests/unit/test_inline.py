"""Inline answers: which requests they are for, what is sent, and what is recorded. Neither uvicorn nor ASGI is here."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.api.endpoints import endpoints
from app.engine.reload import Serving
from app.server.inline import InlineResponder
from app.settings import Settings
from app.telemetry.context import current
from app.telemetry.metrics import Metrics
from app.telemetry.middleware import Recorder
from tests.artifacts import make_small_artifact
from tests.metrics import total

pytestmark = pytest.mark.anyio

DEFAULTS = [(b"date", b"today")]
JSON = (b"content-type", b"application/json")


class Inline:
    """A responder, what it has sent, and what it has counted."""

    def __init__(self, settings: Settings) -> None:
        self.metrics = Metrics(["/predict", "/generate"])
        self.serving = Serving(settings, self.metrics)
        self.recorder = Recorder(self.metrics, None)
        self.responder = InlineResponder(self.serving, endpoints(settings), self.recorder, max_body_bytes=1000)
        self.sent: list[bytes] = []

    def ask(self, url: bytes, body: bytes) -> bool:
        return self.responder.answer(url, [JSON, (b"x-request-id", b"mine")], body, 0.0, DEFAULTS, self.sent.append)

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
    ],
)
async def test_it_takes_bodies_of_a_known_and_small_size(
    inline: Inline, url: bytes, length: bytes | None, expected: bool
) -> None:
    headers = [JSON] if length is None else [JSON, (b"content-length", length)]
    assert inline.responder.takes(url, headers) == expected


@pytest.mark.parametrize("coding", [b"gzip", b"identity", b""])
async def test_it_leaves_every_coding_of_a_body_to_the_application(inline: Inline, coding: bytes) -> None:
    headers = [(b"content-length", b"10"), JSON, (b"content-encoding", coding)]
    assert not inline.responder.takes(b"/predict", headers)
    assert not inline.responder.takes(b"/predict", headers[::-1])


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


async def test_a_service_that_is_stopping_says_so(inline: Inline) -> None:
    inline.serving.stop()
    assert inline.ask(b"/predict", b'{"sequence": [1]}')
    assert inline.sent[0].startswith(b"HTTP/1.1 503 ")


async def test_a_client_that_left_is_recorded(inline: Inline) -> None:
    inline.responder.record_gone(b"/predict", [JSON], 0.0)
    assert current() is None
    assert inline.counted("sine_requests_total", route="/predict", status="499") == 1
    assert inline.counted("sine_refusals_total", reason="client_gone") == 1
