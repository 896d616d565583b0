"""Traces, received as OTLP by a real HTTP server: a request's span, the forecast's inside, and nothing of a payload."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from app.telemetry.tracing import TracingUnavailable, start_tracing
from tests.artifacts import make_small_artifact
from tests.server import ROOT, Server, serve

PLANTED = "5f4dcc3b-planted"
PARENT = "00f067aa0ba902b7"
VALUE = 0.123456789


class Receiver(ThreadingHTTPServer):
    """What an OpenTelemetry collector is to an exporter."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []

    def spans(self) -> list[Span]:
        received = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for request in received
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def of(self, trace_id: str, count: int) -> list[Span]:
        """The spans of one trace, when there are so many."""
        return waited_for(lambda: [span for span in self.spans() if span.trace_id.hex() == trace_id], count)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


def waited_for(found: Callable[[], list[Span]], count: int) -> list[Span]:
    deadline = time.monotonic() + 10
    while len(spans := found()) < count:
        assert time.monotonic() < deadline, spans
        time.sleep(0.05)
    return spans


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        yield receiver
        receiver.shutdown()


@pytest.fixture(scope="module")
def traced(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, Server]]:
    """A server with the hot path, and one without."""
    hot, plain = tmp_path_factory.mktemp("hot"), tmp_path_factory.mktemp("plain")
    model = make_small_artifact(hot)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{receiver.server_port}")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        settings = {"model": model, "workers": 1, "tracing": True}
        with serve(hot, **settings) as first, serve(plain, hot_path=False, **settings) as second:
            yield {True: first, False: second}


def attributes(span: Span) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in span.attributes}


def ask(server: Server, trace_id: str, path: str, body: object) -> httpx.Response:
    headers = {"traceparent": f"00-{trace_id}-{PARENT}-01", "authorization": f"Bearer {PLANTED}"}
    return httpx.post(f"{server.url}{path}?token={PLANTED}", json=body, headers=headers)


def trace(number: int) -> str:
    return f"{number:032x}"


@pytest.mark.parametrize(("path", "steps"), [("/predict", None), ("/generate", 7), ("/generate", 9000)])
def test_both_ways_have_the_same_spans_under_the_callers(
    traced: dict[bool, Server], receiver: Receiver, path: str, steps: int | None
) -> None:
    shown = []
    for hot, server in traced.items():
        trace_id = trace(100 + 10 * len(path) + (steps or 0) + hot * 100_000)
        body: dict[str, object] = {"sequence": [VALUE, 2, 3]} | ({} if steps is None else {"steps": steps})
        assert ask(server, trace_id, path, body).status_code == 200
        spans = {span.kind: span for span in receiver.of(trace_id, 2)}
        request, forecast = spans[Span.SPAN_KIND_SERVER], spans[Span.SPAN_KIND_INTERNAL]
        assert (request.name, request.parent_span_id.hex()) == (f"POST {path}", PARENT)
        assert (forecast.name, forecast.parent_span_id) == ("forecast", request.span_id)
        assert request.start_time_unix_nano <= forecast.start_time_unix_nano
        assert forecast.end_time_unix_nano <= request.end_time_unix_nano
        assert attributes(forecast) == {
            "sine.rows": 1,
            "sine.sequence_length": 3,
            "sine.steps": steps or 1,
            "sine.finish_reason": "length",
        }
        found = attributes(request)
        assert (found["http.route"], found["http.response.status_code"]) == (path, 200)
        shown.append({**found, "server.port": 0})
    assert shown[0] == shown[1]


def test_a_refusal_is_a_span_without_a_forecast(traced: dict[bool, Server], receiver: Receiver) -> None:
    for hot, server in traced.items():
        trace_id = trace(1 + hot)
        assert ask(server, trace_id, "/predict", {"sequence": [PLANTED]}).status_code == 422
        (request,) = receiver.of(trace_id, 1)
        assert attributes(request)["http.response.status_code"] == 422
        assert request.status.code == Status.STATUS_CODE_UNSET


def test_a_stream_is_one_forecast(traced: dict[bool, Server], receiver: Receiver) -> None:
    trace_id = trace(5)
    assert ask(traced[True], trace_id, "/generate/stream", {"sequence": [1, 2], "steps": 3000}).status_code == 200
    spans = receiver.of(trace_id, 2)
    assert sorted(span.name for span in spans) == ["POST /generate/stream", "forecast"]


def test_the_log_has_the_trace_of_a_request_without_a_parent(traced: dict[bool, Server], receiver: Receiver) -> None:
    answer = httpx.post(f"{traced[True].url}/predict", json={"sequence": [1]}, headers={"x-request-id": "no-parent"})
    assert answer.status_code == 200
    traces = {span.trace_id.hex() for span in waited_for(receiver.spans, 1)}
    deadline = time.monotonic() + 5
    while not any(trace in traced[True].log.read_text() for trace in traces):
        assert time.monotonic() < deadline
        traces = {span.trace_id.hex() for span in receiver.spans()}


def test_no_span_holds_what_was_sent(traced: dict[bool, Server], receiver: Receiver) -> None:
    for server in traced.values():
        ask(server, trace(7), "/generate", {"sequence": [VALUE, PLANTED], "steps": 1})
        ask(server, trace(7), "/generate", {"sequence": [VALUE] * 5, "steps": 1})
    receiver.of(trace(7), 6)
    for body in receiver.bodies:
        assert PLANTED.encode() not in body
        assert str(VALUE).encode() not in body
    assert any("REDACTED" in str(attributes(span)) for span in receiver.spans())


def test_health_checks_are_not_traced(traced: dict[bool, Server], receiver: Receiver) -> None:
    httpx.get(f"{traced[True].url}/readyz")
    ask(traced[True], trace(8), "/predict", {"sequence": [VALUE]})  # goes out no earlier
    receiver.of(trace(8), 2)
    assert "/readyz" not in {attributes(span).get("url.path") for span in receiver.spans()}


def test_traces_without_their_packages_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(TracingUnavailable, match="the packages of the extra"):
        start_tracing()


def test_without_traces_nothing_of_the_sdk_is_imported() -> None:
    code = "import sys, app.main; app.main.create_service(); print('opentelemetry.sdk' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    assert shown.strip() == "False"
