"""A real HTTP server that receives traces as OTLP."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.waiting import wait_for


class Receiver(ThreadingHTTPServer):
    """A stand-in for an OpenTelemetry collector. Exporters send their spans to it."""

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
        """Wait until one trace has this number of spans, and return them."""
        return self.waited_for(lambda span: span.trace_id.hex() == trace_id, count)

    def waited_for(self, wanted: Callable[[Span], bool], count: int) -> list[Span]:
        """Wait until this number of wanted spans has arrived, and return them."""

        def found() -> list[Span]:
            spans = [span for span in self.spans() if wanted(span)]
            return spans if len(spans) >= count else []

        return wait_for(f"{count} spans", found)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def exporting_to(receiver: Receiver) -> Iterator[None]:
    """Configure servers that start in the block to send their traces to `receiver`, within about 100 ms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{receiver.server_port}")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield
