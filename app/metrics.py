"""What the service counts, and the pure ASGI middleware that counts and times every request."""

import os
import time
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.counters import Registry
from app.oip_statistics import InferenceCounters
from app.workers import METRICS_FOLDER

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_CLIENT_GONE = 499  # what proxies write for a client that did not wait
_STATUSES = sorted({*map(int, HTTPStatus), _CLIENT_GONE})
_LATENCIES_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """What one worker counts, and the sum over all of them."""

    def __init__(self, routes: Iterable[str]) -> None:
        """`routes` are the paths that are counted by their name; all others count as `other`."""
        folder = os.environ.get(METRICS_FOLDER)
        registry = Registry(Path(folder) if folder is not None else None)
        routes = (*routes, "other")
        requests = registry.counter("sine_requests", "Requests answered.", route=routes, status=map(str, _STATUSES))
        latency = registry.histogram(
            "sine_request_duration_seconds",
            "From the request's headers to the response's last byte.",
            _LATENCIES_S,
            route=routes,
        )
        self.by_route = {
            route: (latency[route,], {status: requests[route, str(status)] for status in _STATUSES}) for route in routes
        }
        """For each route its latencies, and its requests by status."""
        self.steps = registry.counter("sine_steps", "Steps of the network executed, encoding included.")[()]
        self.pending_steps = registry.gauge(
            "sine_pending_steps", "Steps of the requests that are in the queue of the model's thread."
        )
        self._started = registry.counter(
            "sine_workers_started", "Workers started. More than are alive: some have died."
        )[()]
        self._alive = registry.gauge("sine_workers", "Workers alive.")
        self.inference = InferenceCounters(registry)
        self.expose = registry.expose

    def worker_started(self) -> None:
        """Count this process as a worker."""
        self._started.add()
        self._alive.set(1)


class MetricsMiddleware:
    """Counts and times requests by route."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._by_route = metrics.by_route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        latency, requests = self._by_route.get(scope["path"]) or self._by_route["other"]
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
            latency.observe(time.perf_counter() - began)
            requests[status].add()
