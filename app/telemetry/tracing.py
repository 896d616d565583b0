"""OpenTelemetry traces. They are off by default, and the SDK is then not imported.

FastAPI's routing makes the span of a request, so the hot path is off where traces are on. The span's parent comes from
the request's traceparent. The SDK exports spans as the standard OTEL_* variables say. This module adds a span around
each forecast, and the trace's id for the logs. No span holds anything of a body or of a query.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastapi.telemetry import TelemetryConfig
from opentelemetry import trace

from app.telemetry.context import current

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_tracer = trace.get_tracer("app")

_NOT_TRACED = {"/livez", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"}
"""Paths that machines ask for every few seconds."""


def telemetry(on: bool) -> TelemetryConfig:
    """The configuration of FastAPI: one span for each request, or none."""
    return {
        "tracing": on,
        "metrics": False,
        "logs": False,  # these logs would hold the messages of exceptions
        "operation_spans": False,
        "auto_configure": False,
        "exclude": lambda scope: scope["path"] in _NOT_TRACED,
    }


class TracingUnavailable(Exception):
    """The settings ask for traces, and the packages that export them are not installed."""


def start_tracing() -> "TracerProvider":
    """Export the spans of this process. The caller has to shut the provider down.

    Raises:
        TracingUnavailable: the packages of the extra `telemetry` are missing.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingUnavailable("SINE_TRACING needs the packages of the extra: pip install '.[telemetry]'") from error

    class Discretion(SpanProcessor):
        def on_start(self, span: Span, parent_context: Any = None) -> None:
            attributes = span.attributes or {}
            if "url.query" in attributes:
                span.set_attribute("url.query", "REDACTED")  # FastAPI adds it, and it may hold a token
            if (context := current()) is not None:
                context.trace_id = b"%032x" % span.context.trace_id
                if "url.path" in attributes:  # a path may hold anything, so its template goes in its place
                    span.set_attribute("url.path", context.route.path.decode())

    os.environ.setdefault("OTEL_SERVICE_NAME", "sine-rnn-server")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Discretion())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider


@contextmanager
def forecast_span(rows: int, length: int, steps: int) -> Iterator[Callable[[bool], None]]:
    """A span around a forecast. `length` is that of the longest row, and `steps` are those for each row.

    The span gives a function that is called at the end and told whether the forecast has diverged.
    """
    size = {"sine.rows": rows, "sine.sequence_length": length, "sine.steps": steps}
    span = _tracer.start_span("forecast", attributes=size)

    def ended(diverged: bool) -> None:
        span.set_attribute("sine.finish_reason", "diverged" if diverged else "length")

    try:
        yield ended
    except Exception as error:
        span.set_attribute("error.type", type(error).__name__)  # its message is not for everybody who reads traces
        span.set_status(trace.StatusCode.ERROR)
        raise
    finally:
        span.end()
