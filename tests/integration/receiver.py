"""A real HTTP server that takes traces as OTLP."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


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
    deadline = time.monotonic() + 30
    while len(spans := found()) < count:
        assert time.monotonic() < deadline, spans
        time.sleep(0.05)
    return spans


@contextmanager
def exporting_to(receiver: Receiver) -> Iterator[None]:
    """In the block, a server that starts sends its traces there, soon."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{receiver.server_port}")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield
