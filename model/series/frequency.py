"""The frequency of one series: the grid of evenly spaced times that its times lie on.

Days, weeks, hours and the like have a length. Months, quarters, years, half months and business days are counted on the
calendar, on the column's own clock. Numbers count as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model.series.times import Integers, Times
from model.series.values import Floats

_TICKS = {"ms": 10**3, "us": 10**6, "ns": 10**9}  # in a second
_DURATIONS = [("day", 86_400 * 10**9), ("h", 3600 * 10**9), ("min", 60 * 10**9), ("s", 10**9), ("ms", 10**6)]
_DURATIONS += [("µs", 10**3), ("ns", 1)]
_FREQUENT_DAYS = 12  # halves of months are at least 13 days apart, less an hour of a clock that is put forward


@dataclass(frozen=True)
class Grid:
    """Evenly spaced times on which those of a series lie. Some of them may be missing."""

    position_T: Integers
    """The number of each time on the grid. The first is 0."""

    step: str
    """The distance between neighbours, for people: 1 day, 15 min, 3 months, 1 business day."""

    @property
    def missing(self) -> int:
        """Number of times between the first and the last that the series lacks."""
        return int(self.position_T[-1]) + 1 - len(self.position_T) if len(self.position_T) else 0

    @property
    def first_gap(self) -> int:
        """The index of the first time whose neighbour before it is missing, or 0."""
        return int(np.argmax(np.diff(self.position_T) > 1)) + 1 if self.missing else 0


@dataclass(frozen=True)
class Uneven:
    """Times that lie on no grid."""

    index: int
    """The first time whose distance from the one before is no whole number of steps."""

    apart: str
    """The distance of that time from the one before, for people."""

    step: str
    """The usual distance."""


def grid_of(times: Times) -> Grid | Uneven:
    """Return the grid with the fewest missing times on which `times` lie. They ascend, and no two are equal.

    The step of a grid is the most common distance of neighbours. All distances must be multiples of it.
    """
    if len(times.at_N) < 2:
        return Grid(np.zeros(len(times.at_N), np.int64), "")
    if times.at_N.dtype == np.float64:
        return _floats(times.at_N.astype(np.float64))
    grids = []
    for position_T, unit in _counts(times):
        apart_T = np.diff(position_T)
        step = _usual(apart_T)
        if apart_T.min() > 0 and not np.any(apart_T % step):
            grids.append(Grid((position_T - position_T[0]) // step, _many(step, unit)))
            if not grids[-1].missing:
                break
    if grids:
        return min(grids, key=lambda grid: grid.missing)
    apart_T = np.diff(times.at_N)
    step = _usual(apart_T)
    first = int(np.argmax(apart_T % step != 0))
    unit = times.unit
    return Uneven(first + 1, _many(int(apart_T[first]), unit), _many(step, unit))


def _counts(times: Times) -> Iterator[tuple[Integers, str]]:
    """Yield each way to count times in which they have whole numbers, and its unit.

    Months go before days, since the first of two or three months may be as far apart as days are.
    """
    at_T, wall_T, unit = times.at_N.astype(np.int64), times.wall_N, times.unit
    frequent = wall_T is None or np.diff(at_T).min() < _FREQUENT_DAYS * 86_400 * _TICKS[unit]
    if frequent:
        yield at_T, unit
    if wall_T is None:
        return
    day_T = wall_T.astype(f"datetime64[{unit}]").astype("datetime64[D]")
    clock_T = wall_T - day_T.astype(f"datetime64[{unit}]").astype(np.int64)
    shifts = bool(np.any(wall_T - at_T != wall_T[0] - at_T[0]))
    # Some zones put clocks forward at midnight. Their day then begins at one o'clock.
    tolerance = 3600 * _TICKS[unit] if shifts else 0
    dates = bool(np.all(np.abs(clock_T - _usual(clock_T)) <= tolerance))
    if not frequent:
        if dates:
            yield from _months(day_T)
        yield at_T, unit
    if shifts:
        yield (day_T.astype(np.int64), "day") if dates else (wall_T, unit)
    if dates and np.all(np.is_busday(day_T)):
        yield np.busday_count(np.datetime64("1970-01-01"), day_T), "business day"


def _months(day_T: np.ndarray) -> Iterator[tuple[Integers, str]]:
    month_T = day_T.astype("datetime64[M]")
    number_T = month_T.astype(np.int64)
    day_of_month_T = (day_T - month_T.astype("datetime64[D]")).astype(np.int64) + 1
    length_T = ((month_T + 1).astype("datetime64[D]") - month_T.astype("datetime64[D]")).astype(np.int64)
    # The 31st of a short month is its last day.
    if np.all(day_of_month_T == np.minimum(day_of_month_T.max(), length_T)):
        yield number_T, "month"
    first_T = day_of_month_T == (1 if day_of_month_T.min() == 1 else 15)
    second_T = day_of_month_T == (15 if day_of_month_T.min() == 1 else length_T)
    if np.all(first_T | second_T):
        yield 2 * number_T + second_T, "half month"


def _floats(at_T: Floats) -> Grid | Uneven:
    """Return the grid of times that are floats, which are rounded to the resolution of the largest."""
    apart_T = np.diff(at_T)
    step = max(float(np.median(apart_T)), np.spacing(np.abs(at_T).max()))
    steps_T = np.rint(apart_T / step)
    tolerance = 1e-6 * step + 2 * np.spacing(np.abs(at_T).max())
    off_T = (np.abs(apart_T - steps_T * step) > tolerance * np.maximum(steps_T, 1)) | (steps_T < 1)
    if np.any(off_T):
        first = int(np.argmax(off_T))
        return Uneven(first + 1, f"{apart_T[first]:.12g}", f"{step:.12g}")
    return Grid(np.concatenate([[0], np.cumsum(steps_T)]).astype(np.int64), f"{step:.6g}")


def _usual(number_T: Integers) -> int:
    """Return the most common number, and the smallest if several are."""
    number, count = np.unique(number_T, return_counts=True)
    return int(number[np.argmax(count)])


def _many(count: int, unit: str) -> str:
    """Return a number of units for people."""
    if unit in _TICKS:
        length = count * (10**9 // _TICKS[unit])
        unit, size = next((name, size) for name, size in _DURATIONS if length % size == 0)
        count = length // size
    elif unit == "month" and count % 12 == 0:
        count, unit = count // 12, "year"
    plural = "s" if count != 1 and unit in ("day", "month", "half month", "business day", "year") else ""
    return f"{count} {unit}{plural}".strip()
