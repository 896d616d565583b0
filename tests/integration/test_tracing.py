"""Tests of traces as a real HTTP server receives them: the request's span holds the forecast's, and no payload."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from app.telemetry.tracing import TracingUnavailable, start_tracing
from tests.artifacts import make_small_artifact
from tests.integration.receiver import Receiver, exporting_to
from tests.server import ROOT, Server, serve_both_ways
from tests.waiting import wait_for

PLANTED = "5f4dcc3b-planted"
PARENT = "00f067aa0ba902b7"
VALUE = 0.123456789


@pytest.fixture(scope="module")
def traced(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, Server]]:
    """Run a server with the hot path on, and one with it off. With traces, FastAPI answers in both."""
    folder = tmp_path_factory.mktemp("traced")
    settings = {"model": make_small_artifact(folder), "workers": 1, "tracing": True}
    with exporting_to(receiver), serve_both_ways(folder, **settings) as (hot, plain):
        yield {True: hot, False: plain}


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

    def logged() -> bool:
        log = traced[True].log.read_text()
        return any(span.trace_id.hex() in log for span in receiver.spans())

    wait_for("a line with the trace of a span", logged)


def test_no_span_holds_a_payload(traced: dict[bool, Server], receiver: Receiver) -> None:
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
    ask(traced[True], trace(8), "/predict", {"sequence": [VALUE]})  # its span is exported last
    receiver.of(trace(8), 2)
    assert "/readyz" not in {attributes(span).get("url.path") for span in receiver.spans()}


def test_traces_without_their_packages_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(TracingUnavailable, match="the packages of the extra"):
        start_tracing()


def test_the_sdk_is_not_imported_without_traces() -> None:
    code = "import sys, app.main; app.main.create_service(); print('opentelemetry.sdk' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    assert shown.strip() == "False"
