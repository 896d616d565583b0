"""Counters, gauges and histograms that cost an addition and are right across workers; prometheus_client writes them.

Each worker keeps its numbers in memory that is mapped from a file of its own, in a folder that all workers share, and
whichever of them is asked reads the files of all. The numbers of a worker that was killed are still there.
prometheus_client can do that too, but each of its changes takes a lock and packs two numbers and a key's place, four
times a request: 4 µs, as much as the network itself (`python -m benchmarks.layers` has today's cost).

All workers run the same code, so a number has the same place in every file.
"""

import itertools
import math
import mmap
import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
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

from app.telemetry.names import Names

_PLACES = 8192
"""Numbers that a worker has room for, 64 KiB."""

_MODELS = 64
"""Names that models may have had in the life of the service."""

Numbers = npt.NDArray[np.float64]
Labels = tuple[str, ...]
T = TypeVar("T")


class Counter:
    """A number that only grows."""

    def __init__(self, numbers: "memoryview[float]", place: int) -> None:
        self._numbers, self.place = numbers, place

    def add(self, amount: float = 1.0) -> None:
        self._numbers[self.place] += amount


class Gauge:
    """A number that is set; the sum over the workers that are alive is what is shown."""

    def __init__(self, numbers: "memoryview[float]", place: int) -> None:
        self._numbers, self._place = numbers, place

    def set(self, value: float) -> None:
        self._numbers[self._place] = value

    def add(self, amount: float) -> None:
        self._numbers[self._place] += amount


class Histogram:
    """How many observations were at most as large as each of the bounds, and the sum of all."""

    def __init__(self, numbers: "memoryview[float]", place: int, bounds: Sequence[float]) -> None:
        self._numbers, self._first, self._bounds = numbers, place, bounds
        self._sum = place + len(bounds) + 1

    def observe(self, value: float) -> None:
        numbers = self._numbers
        numbers[self._first + bisect_left(self._bounds, value)] += 1.0
        numbers[self._sum] += value


class Info:
    """Text that is told as the labels of a metric whose value is 1. What is shown is that of the worker asked."""

    labels: Sequence[dict[str, str]] = ()
    """Of each series."""


class Registry(Collector):
    """What one worker counts; `expose` gives the sum over all."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` is what the workers share; None for a process that is alone."""
        self._folder = folder
        self._models = Names(None if folder is None else folder / "models", _MODELS)
        size = 8 * _PLACES
        if folder is None:
            memory = mmap.mmap(-1, size)
        else:
            with (folder / str(os.getpid())).open("a+b") as file:
                file.truncate(size)
                memory = mmap.mmap(file.fileno(), size)
        self._numbers = memoryview(memory).cast("d")
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

    def totals(self, *counters: Counter) -> list[float]:
        """What each of these counters has come to, over all workers that there ever were."""
        ever, _ = self._sums()
        return [float(ever[counter.place]) for counter in counters]

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
        ever, now = self._sums()
        for family in self._families:
            yield family(ever, now)

    def _children(self, places: int, labels: dict[str, Iterable[str]]) -> dict[Labels, int]:
        """The first of so many places for each combination of the labels' values."""
        children = {}
        for values in itertools.product(*labels.values()):
            children[values] = self._taken
            self._taken += places
        if self._taken > _PLACES:
            raise ValueError(f"{self._taken} numbers are more than the {_PLACES} that a worker has room for")
        return children

    def _sums(self) -> tuple[Numbers, Numbers]:
        """The numbers of all workers that there ever were, and of those that are alive."""
        own = np.asarray(self._numbers)
        if self._folder is None:
            return own.copy(), own.copy()
        ever, now = np.zeros(_PLACES), np.zeros(_PLACES)
        for file in self._folder.glob("[0-9]*"):
            numbers = np.fromfile(file)
            if len(numbers) < _PLACES:  # a worker that is just starting
                continue
            ever += numbers
            if _is_alive(int(file.name)):
                now += numbers
        return ever, now


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
