"""Metrics that cost an addition and are right across workers. prometheus_client writes them as text.

Each worker counts (`app/telemetry/instruments.py`) in numbers that all workers can read
(`app/shared_memory/values.py`), and the worker that is asked shows the sum over all of them. All workers run the same
code, so a number has the same place in each of them.

prometheus_client has a mode for several processes too. Each of its changes takes a lock and packs two numbers and the
place of a key, four times a request: 4 µs, as much as the network itself. `python -m benchmarks.layers` has the cost of
this one.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from app.shared_memory.numbering import Numbering
from app.shared_memory.values import Numbers, SharedValues
from app.telemetry.instruments import Counter, Gauge, Histogram, Info

PLACES, PLACES_BY_MODEL = 7616, 17
"""A worker has room for so many numbers, and for so many more for each model."""

Labels = tuple[str, ...]

Samples = Callable[[Numbers, Numbers], Iterable[tuple[Any, ...]]]
"""The samples of a metric, as the `add_metric` of its family takes them. They are made from the sums of the numbers of
all workers that there ever were, and of the workers that are alive."""


class Registry(Collector):
    """The metrics of one worker; `expose` shows the sum over all workers."""

    def __init__(self, folder: Path | None, models: int = 64) -> None:
        """There are at most so many names of models. `folder` is shared by the workers; None is for a lone process."""
        self._room, self._most_models = PLACES + models * PLACES_BY_MODEL, models
        self._shared = SharedValues(folder, self._room)
        self._models = Numbering(None if folder is None or self._shared.is_alone else folder / "models", models)
        self._taken = 0
        self._families: list[tuple[Any, str, str, list[str], Samples]] = []
        """The class of each metric's family, its name, text and labels, and its samples."""

    def counter(self, name: str, text: str, **labels: Iterable[str]) -> dict[Labels, Counter]:
        """A counter for each combination of the labels' values. Those that are still 0 are not shown."""
        places = self._places(1, labels)

        def samples(ever: Numbers, _: Numbers) -> Iterator[tuple[Any, ...]]:
            return ((v, ever[place]) for v, place in places.items() if ever[place] or not labels)

        self._families.append((CounterMetricFamily, name, text, [*labels], samples))
        return {values: Counter(self._shared.own, place) for values, place in places.items()}

    def counter_by_model(self, name: str, text: str, **labels: Iterable[str]) -> Callable[[str], dict[Labels, Counter]]:
        """The same for each model: a function of the model's name. The label `model` comes first."""
        places = self._places(self._most_models, labels)

        def samples(ever: Numbers, _: Numbers) -> Iterator[tuple[Any, ...]]:
            for number, model in enumerate(self._models.known()):
                yield from (((model, *v), ever[place + number]) for v, place in places.items() if ever[place + number])

        def of(model: str) -> dict[Labels, Counter]:
            number = self._models.number(model)
            return {values: Counter(self._shared.own, place + number) for values, place in places.items()}

        self._families.append((CounterMetricFamily, name, text, ["model", *labels], samples))
        return of

    def gauge(self, name: str, text: str) -> Gauge:
        """A gauge without labels."""
        place = self._places(1, {})[()]
        self._shared.own[place] = 0.0  # a worker that died may have left its value in this file
        self._families.append((GaugeMetricFamily, name, text, [], lambda _, now: [((), now[place])]))
        return Gauge(self._shared.own, place)

    def histogram(
        self, name: str, text: str, bounds: Sequence[float], **labels: Iterable[str]
    ) -> dict[Labels, Histogram]:
        """A histogram for each combination of the labels' values. Those that are still empty are not shown."""
        places = self._places(len(bounds) + 2, labels)
        les = [*map(floatToGoString, (*bounds, math.inf))]

        def samples(ever: Numbers, _: Numbers) -> Iterator[tuple[Any, ...]]:
            for values, place in places.items():
                counts = ever[place : place + len(les)].cumsum()
                if counts[-1] or not labels:
                    yield values, [*zip(les, counts, strict=True)], ever[place + len(les)]

        self._families.append((HistogramMetricFamily, name, text, [*labels], samples))
        return {values: Histogram(self._shared.own, place, bounds) for values, place in places.items()}

    def histogram_by_model(self, name: str, text: str, bounds: Sequence[float]) -> Callable[[str], Histogram]:
        """A histogram for each model: a function of the model's name."""
        size, les = len(bounds) + 2, [*map(floatToGoString, (*bounds, math.inf))]
        first = self._places(size * self._most_models, {})[()]

        def samples(ever: Numbers, _: Numbers) -> Iterator[tuple[Any, ...]]:
            for number, model in enumerate(self._models.known()):
                place = first + size * number
                counts = ever[place : place + len(les)].cumsum()
                if counts[-1]:
                    yield (model,), [*zip(les, counts, strict=True)], ever[place + len(les)]

        self._families.append((HistogramMetricFamily, name, text, ["model"], samples))
        return lambda model: Histogram(self._shared.own, first + size * self._models.number(model), bounds)

    def info(self, name: str, text: str) -> Info:
        """Labels that are set later."""
        info = Info()
        self._families.append((InfoMetricFamily, name, text, [], lambda *_: [((), each) for each in info.labels]))
        return info

    def totals(self) -> Callable[[Counter], float]:
        """A function that gives the value of a counter, summed over all workers that there ever were."""
        ever, _ = self._shared.sums()
        return lambda counter: float(ever[counter.place])

    def other_workers(self, gauge: Gauge) -> list[float]:
        """The value of a gauge in each other worker. It takes about a microsecond."""
        return self._shared.other_workers(gauge.place)

    def expose(self) -> bytes:
        """The metrics of all workers in the Prometheus text format."""
        return generate_latest(self)

    def collect(self) -> Iterator[Any]:
        ever, now = self._shared.sums()
        for kind, name, text, labels, samples in self._families:
            family = kind(name, text, labels=labels)
            for sample in samples(ever, now):
                family.add_metric(*sample)
            yield family

    def _places(self, size: int, labels: dict[str, Iterable[str]]) -> dict[Labels, int]:
        """The first of `size` places for each combination of the labels' values."""
        combinations = [*itertools.product(*labels.values())]
        first, self._taken = self._taken, self._taken + size * len(combinations)
        if self._taken > self._room:
            raise ValueError(f"{self._taken} numbers are more than the {self._room} that a worker has room for")
        return {values: first + size * number for number, values in enumerate(combinations)}
