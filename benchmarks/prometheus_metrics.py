"""`python -m app` with its counters and histograms in prometheus_client's multiprocess mode.

`python -m benchmarks.metrics` compares it with the service as it is. Gauges stay in the service's own shared memory:
the balancing of connections needs those of other workers in a microsecond. A small request changes none of them.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from typing import Any

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_IS_FIRST = _FOLDER not in os.environ
if _IS_FIRST:  # prometheus_client chooses its mode when it is imported, and the workers inherit the variable
    os.environ[_FOLDER] = tempfile.mkdtemp(prefix="prometheus-")

import prometheus_client  # noqa: E402
from prometheus_client import CollectorRegistry  # noqa: E402
from prometheus_client.multiprocess import MultiProcessCollector  # noqa: E402
from starlette.types import ASGIApp  # noqa: E402

from app.telemetry import metrics  # noqa: E402
from app.telemetry.instruments import Counter, Histogram  # noqa: E402
from app.telemetry.registry import Labels, Registry  # noqa: E402

Child = Callable[[], Any]
"""Makes a labelled child of a metric, or returns the metric itself where it has no labels."""


class _Counter(Counter):
    """Makes its child on first use: otherwise every status of every route would be exposed."""

    def __init__(self, name: str, labels: dict[str, str], child: Child) -> None:
        self.key = (f"{name}_total", frozenset(labels.items()))
        self._child = child

    def add(self, amount: float = 1.0) -> None:
        """See `Counter`."""
        # The next call goes straight to the child.
        self.add = self._child().inc  # type: ignore[method-assign]
        self.add(amount)


class _Histogram(Histogram):
    def __init__(self, child: Child) -> None:
        self._child = child

    def observe(self, value: float) -> None:
        """See `Histogram`."""
        self.observe = self._child().observe  # type: ignore[method-assign]
        self.observe(value)


def _child(metric: Any, values: Labels) -> Child:
    return lambda: metric.labels(*values) if values else metric


class PrometheusRegistry(Registry):
    """The interface of `Registry` on the metrics of prometheus_client."""

    def counter(self, name: str, text: str, **labels: Iterable[str]) -> dict[Labels, Counter]:
        """See `Registry`."""
        metric = prometheus_client.Counter(name, text, [*labels], registry=CollectorRegistry())
        return {
            values: _Counter(name, dict(zip(labels, values, strict=True)), _child(metric, values))
            for values in self._places(0, labels)
        }

    def counter_by_model(self, name: str, text: str, **labels: Iterable[str]) -> Callable[[str], dict[Labels, Counter]]:
        """See `Registry`."""
        metric = prometheus_client.Counter(name, text, ["model", *labels], registry=CollectorRegistry())
        combinations = [*self._places(0, labels)]
        return lambda model: {
            values: _Counter(
                name, dict(zip(["model", *labels], [model, *values], strict=True)), _child(metric, (model, *values))
            )
            for values in combinations
        }

    def histogram(
        self, name: str, text: str, bounds: Sequence[float], **labels: Iterable[str]
    ) -> dict[Labels, Histogram]:
        """See `Registry`."""
        metric = prometheus_client.Histogram(name, text, [*labels], buckets=bounds, registry=CollectorRegistry())
        return {values: _Histogram(_child(metric, values)) for values in self._places(0, labels)}

    def totals(self) -> Callable[[Counter], float]:
        """See `Registry`."""
        families = MultiProcessCollector(CollectorRegistry()).collect()  # type: ignore[no-untyped-call]
        values = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }
        return lambda counter: values.get(counter.key, 0.0) if isinstance(counter, _Counter) else 0.0

    def expose(self) -> bytes:
        """See `Registry`."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return prometheus_client.generate_latest(registry) + super().expose()


def create_service() -> ASGIApp:
    """The service with these metrics: uvicorn calls this in each worker."""
    metrics.Registry = PrometheusRegistry  # type: ignore[attr-defined]
    from app.main import create_service

    return create_service()


if __name__ == "__main__":
    from app import __main__ as service

    service.APPLICATION = "benchmarks.prometheus_metrics:create_service"
    try:
        service.main()
    finally:
        if _IS_FIRST:
            shutil.rmtree(os.environ[_FOLDER], ignore_errors=True)
