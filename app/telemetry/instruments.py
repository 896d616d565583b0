"""What is counted with: each adds to its own places among the numbers of a worker (`app/telemetry/registry.py`)."""

from bisect import bisect_left
from collections.abc import Sequence


class Counter:
    """A number that only grows."""

    def __init__(self, numbers: "memoryview[float]", place: int) -> None:
        self._numbers, self.place = numbers, place

    def add(self, amount: float = 1.0) -> None:
        self._numbers[self.place] += amount


class Gauge:
    """A number that is set; the sum over the workers that are alive is what is shown."""

    def __init__(self, numbers: "memoryview[float]", place: int) -> None:
        self._numbers, self.place = numbers, place

    def set(self, value: float) -> None:
        self._numbers[self.place] = value

    def add(self, amount: float) -> None:
        self._numbers[self.place] += amount


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
