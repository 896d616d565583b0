"""Counters, gauges and histograms. Each has its own places among a worker's numbers (`app/telemetry/registry.py`)."""

from bisect import bisect_left
from collections.abc import Sequence


class Counter:
    """A number that only grows."""

    def __init__(self, numbers: "memoryview[float]", place: int) -> None:
        self._numbers, self.place = numbers, place

    def add(self, amount: float = 1.0) -> None:
        self._numbers[self.place] += amount


class Gauge(Counter):
    """A number that is set, and may shrink. `/metrics` shows the sum over the workers that are alive."""

    def set(self, value: float) -> None:
        self._numbers[self.place] = value


class Histogram:
    """Counts observations by the bounds that they do not exceed, and adds them up."""

    def __init__(self, numbers: "memoryview[float]", place: int, bounds: Sequence[float]) -> None:
        self._numbers, self._first, self._bounds = numbers, place, bounds
        self._sum = place + len(bounds) + 1

    def observe(self, value: float) -> None:
        numbers = self._numbers
        numbers[self._first + bisect_left(self._bounds, value)] += 1.0
        numbers[self._sum] += value


class Info:
    """Text in the labels of a metric whose value is 1. `/metrics` shows that of the worker that answers."""

    labels: Sequence[dict[str, str]] = ()
    """The labels of each series."""
