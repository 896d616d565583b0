"""Prometheus metrics, right across workers, and the pure ASGI middleware that counts and times every request."""

import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LATENCIES_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Metrics:
    """What one worker counts, and the sum over all of them."""

    def __init__(self) -> None:
        self._own = CollectorRegistry()
        self.requests = Counter("sine_requests", "Requests answered.", ("route", "status"), registry=self._own)
        self.latency = Histogram(
            "sine_request_duration_seconds",
            "From the request's headers to the response's last byte.",
            ("route",),
            buckets=_LATENCIES_S,
            registry=self._own,
        )
        self.steps = Counter("sine_steps", "Steps of the network executed, encoding included.", registry=self._own)
        self.pending_steps = Gauge(
            "sine_pending_steps",
            "Steps of the requests that are in the queue of the model's thread.",
            multiprocess_mode="livesum",
            registry=self._own,
        )
        self._started = Counter(
            "sine_workers_started", "Workers started. More than are alive: some have died.", registry=self._own
        )
        self._alive = Gauge("sine_workers", "Workers alive.", multiprocess_mode="livesum", registry=self._own)

    def worker_started(self) -> None:
        """Count this process as a worker."""
        self._started.inc()
        self._alive.set(1)

    def expose(self) -> tuple[bytes, str]:
        """The metrics of all workers as text, and its media type."""
        registry = self._own
        folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
        if folder is not None:
            _forget_the_dead(Path(folder))
            registry = CollectorRegistry()
            MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


def _forget_the_dead(folder: Path) -> None:
    """Drop the gauges of workers that are no more; what they counted stays."""
    for file in folder.glob("gauge_live*.db"):
        process = re.search(r"_(\d+)\.db$", file.name)
        if process is not None and not Path("/proc", process[1]).exists():
            mark_process_dead(int(process[1]))  # type: ignore[no-untyped-call]


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
