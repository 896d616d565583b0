"""Metrics that cost an addition and are right across workers (`kinds.py` has them); prometheus_client writes them.

Each worker has its numbers where all workers can read them (`numbers.py`), and whichever is asked tells those of all.

prometheus_client can do that too, but each of its changes takes a lock and packs two numbers and a key's place, four
times a request: 4 µs, as much as the network itself (`python -m benchmarks.layers` has today's cost).

All workers run the same code, so a number has the same place in each of them.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from app.shared_memory.numbering import Numbering
from app.shared_memory.values import PLACES, Numbers, SharedValues
from app.telemetry.instruments import Counter, Gauge, Histogram, Info

_MODELS = 64
"""Names that models may have had in the life of the service."""

Labels = tuple[str, ...]


class Registry(Collector):
    """What one worker counts; `expose` gives the sum over all."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` is what the workers share; None for a process that is alone."""
        self._shared = SharedValues(folder)
        self._models = Numbering(None if folder is None or self._shared.is_alone else folder / "models", _MODELS)
        self._numbers = self._shared.own
        self._taken = 0
        self._families: list[Callable[[Numbers, Numbers], Metric]] = []
        self._exposed = CollectorRegistry()
        self._exposed.register(self)

    def counter(self, name: str, text: str, **labels: Iterable[str]) -> dict[Labels, Counter]:
        """A counter for each combination of the labels' values. Those that are still 0 are not shown."""
        children = self._children(1, labels)

        def family(ever: Numbers, now: Numbers) -> Metric:
            shown = CounterMetricFamily(name, text, labels=list(labels))
            for values, place in children.items():
                if ever[place] or not labels:
                    shown.add_metric(values, ever[place])
            return shown

        self._families.append(family)
        return {values: Counter(self._numbers, place) for values, place in children.items()}

    def counter_by_model(self, name: str, text: str, **labels: Iterable[str]) -> Callable[[str], dict[Labels, Counter]]:
        """The same for each model: a function of its name. Its label `model` comes first."""
        children = self._children(1, {"number": map(str, range(_MODELS)), **labels})

        def family(ever: Numbers, now: Numbers) -> Metric:
            shown = CounterMetricFamily(name, text, labels=["model", *labels])
            models = self._models.known()
            for (number, *values), place in children.items():
                if ever[place]:
                    shown.add_metric([models[int(number)], *values], ever[place])
            return shown

        def of(model: str) -> dict[Labels, Counter]:
            number = str(self._models.number(model))
            return {
                tuple(values): Counter(self._numbers, place)
                for (of, *values), place in children.items()
                if of == number
            }

        self._families.append(family)
        return of

    def gauge(self, name: str, text: str) -> Gauge:
        """A gauge without labels."""
        place = self._children(1, {})[()]
        self._numbers[place] = 0.0  # what a worker that has died held is gone with it

        def family(ever: Numbers, now: Numbers) -> Metric:
            return GaugeMetricFamily(name, text, value=now[place])

        self._families.append(family)
        return Gauge(self._numbers, place)

    def histogram(
        self, name: str, text: str, bounds: Sequence[float], **labels: Iterable[str]
    ) -> dict[Labels, Histogram]:
        """A histogram for each combination of the labels' values. Those that are still empty are not shown."""
        children = self._children(len(bounds) + 2, labels)

        def family(ever: Numbers, now: Numbers) -> Metric:
            shown = HistogramMetricFamily(name, text, labels=list(labels))
            for values, place in children.items():
                upto = ever[place : place + len(bounds) + 1].cumsum()
                if upto[-1] or not labels:
                    buckets = list(zip(map(floatToGoString, [*bounds, math.inf]), upto, strict=True))
                    shown.add_metric(values, buckets, ever[place + len(bounds) + 1])
            return shown

        self._families.append(family)
        return {values: Histogram(self._numbers, place, bounds) for values, place in children.items()}

    def totals(self) -> Callable[[Counter], float]:
        """What each counter has come to by now, over all workers that there ever were: a function of the counter."""
        ever, _ = self._shared.sums()
        return lambda counter: float(ever[counter.place])

    def other_workers(self, gauge: Gauge) -> list[float]:
        """What a gauge is in each other worker, in about a microsecond."""
        return self._shared.other_workers(gauge.place)

    def info(self, name: str, text: str) -> Info:
        """Labels that are set later."""
        info = Info()

        def family(ever: Numbers, now: Numbers) -> Metric:
            shown = InfoMetricFamily(name, text, labels=())
            for labels in info.labels:
                shown.add_metric((), labels)
            return shown

        self._families.append(family)
        return info

    def expose(self) -> bytes:
        """The metrics of all workers in the Prometheus text format."""
        return generate_latest(self._exposed)

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client.registry.Collector`."""
        ever, now = self._shared.sums()
        for family in self._families:
            yield family(ever, now)

    def _children(self, places: int, labels: dict[str, Iterable[str]]) -> dict[Labels, int]:
        """The first of so many places for each combination of the labels' values."""
        children = {}
        for values in itertools.product(*labels.values()):
            children[values] = self._taken
            self._taken += places
        if self._taken > PLACES:
            raise ValueError(f"{self._taken} numbers are more than the {PLACES} that a worker has room for")
        return children
