"""Prometheus metrics, and the pure ASGI middleware that counts and times every request."""

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LATENCIES_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """What one service counts, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("sine_requests", "Requests answered.", ("route", "status"), registry=self.registry)
        self.latency = Histogram(
            "sine_request_duration_seconds",
            "From the request's headers to the response's last byte.",
            ("route",),
            buckets=_LATENCIES_S,
            registry=self.registry,
        )

    def expose(self) -> tuple[bytes, str]:
        """All metrics as text, and its media type."""
        return generate_latest(self.registry), CONTENT_TYPE_PLAIN_0_0_4


class MetricsMiddleware:
    """Counts and times requests by route. A path that is no route of the application counts as `other`."""

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: Iterable[str]) -> None:
        self.app = app
        self._metrics = metrics
        # Looking a label up costs microseconds, so each is looked up once.
        self._latency = {route: metrics.latency.labels(route) for route in (*routes, "other")}
        self._requests: dict[tuple[str, int], Counter] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        route = scope["path"] if scope["path"] in self._latency else "other"
        status = 500  # what a request that dies without an answer counts as
        began = time.perf_counter()

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, observed_send)
        finally:
            self._latency[route].observe(time.perf_counter() - began)
            counter = self._requests.get((route, status))
            if counter is None:
                counter = self._requests[route, status] = self._metrics.requests.labels(route, status)
            counter.inc()
