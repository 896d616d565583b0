"""The frequency of one series: the grid of evenly spaced times that its times lie on.

Days, weeks, hours and the like have a length. Months, quarters, years, half months and business days are counted on the
calendar, on the column's own clock, and so are days and weeks in a time zone. Numbers count as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

TICKS = {"ms": 10**3, "us": 10**6, "ns": 10**9}  # in a second
_DURATIONS = [("day", 86_400 * 10**9), ("h", 3600 * 10**9), ("min", 60 * 10**9), ("s", 10**9), ("ms", 10**6)]
_DURATIONS += [("µs", 10**3), ("ns", 1)]
EPOCH = np.datetime64("1970-01-01")
FREQUENT_DAYS = 12  # halves of months are at least 13 days apart, less an hour of a clock that is put forward


DOUBLE = float(np.finfo(np.float64).eps)
"""The precision of numbers in double precision."""

MONTH_END = 31
"""The day of a month that stands for its last day."""


@dataclass(frozen=True)
class Times:
    """Times [N]: numbers, or dates on two clocks."""

    at_N: Integers | Floats
    """The numbers, or the dates in units of `unit` since 1970 in UTC. Dates without a time zone count as UTC."""

    wall_N: Integers | None = None
    """The dates as the clock on the wall shows them, in units of `unit` since 1970. None for numbers."""

    unit: str = ""
    """Unit of dates, as in `numpy.datetime64`: ms, us or ns."""

    zoned: bool = False
    """True if the dates are in a time zone, whose clocks may change. Their days are counted on its calendar."""

    precision: float = DOUBLE
    """For numbers with fractions: the relative distance of neighbours in the type that they were rounded to."""

    def __getitem__(self, index_T: Integers) -> "Times":
        """Return the times of some rows."""
        wall_T = None if self.wall_N is None else self.wall_N[index_T]
        return Times(self.at_N[index_T], wall_T, self.unit, self.zoned, self.precision)


class Frequency(NamedTuple):
    """The distance between neighbours on a grid, and what else it takes to go on."""

    units: int | float
    """The number of units in a step. 0 for a single time, which has no frequency."""

    unit: str
    """ms, us or ns for a length of time; day, month, half month or business day on the calendar; empty for numbers."""

    on_wall: bool = False
    """True if a length of time is counted on the clock on the wall, which moves where clocks are put forward."""

    day: int = 0
    """For months: the day of the month, `MONTH_END` for the last one. For half months: the first of both days."""

    clock: int = 0
    """On the calendar: the time of day, in ticks of the times' own unit."""

    def __str__(self) -> str:
        """Return the distance for people: 1 day, 15 min, 3 months, 1 business day."""
        if self.unit == "" and isinstance(self.units, float):
            return f"{self.units:.6g}"
        return _many(int(self.units), self.unit) if self.units else ""


@dataclass(frozen=True)
class Grid:
    """Evenly spaced times on which those of a series lie. Some of them may be missing."""

    position_T: Integers
    """The number of each time on the grid. The first is 0."""

    frequency: Frequency

    @property
    def step(self) -> str:
        """The distance between neighbours, for people."""
        return str(self.frequency)

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
        return Grid(np.zeros(len(times.at_N), np.int64), Frequency(0, ""))
    if times.at_N.dtype == np.float64:
        return _floats(times.at_N.astype(np.float64), times.precision)
    grids = []
    for position_T, counted in _counts(times):
        apart_T = np.diff(position_T)
        step = _usual(apart_T)
        if apart_T.min() > 0 and not np.any(apart_T % step):
            grids.append(Grid((position_T - position_T[0]) // step, counted._replace(units=step)))
            if not grids[-1].missing:
                break
    if grids:
        return min(grids, key=lambda grid: grid.missing)
    apart_T = np.diff(times.at_N)
    step = _usual(apart_T)
    first = int(np.argmax(apart_T % step != 0))
    unit = times.unit
    return Uneven(first + 1, _many(int(apart_T[first]), unit), _many(step, unit))


def _counts(times: Times) -> Iterator[tuple[Integers, Frequency]]:
    """Yield each way to count times in which they have whole numbers, and its frequency of one unit.

    Months go before days, since the first of two or three months may be as far apart as days are.
    """
    at_T, wall_T, unit = times.at_N.astype(np.int64), times.wall_N, times.unit
    if wall_T is None:
        yield at_T, Frequency(1, unit)
        return
    day_T, clock_T = on_calendar(wall_T, unit)
    shifts = bool(np.any(wall_T - at_T != wall_T[0] - at_T[0]))
    clock = _usual(clock_T)
    lengths: tuple[Integers, Frequency] = (at_T, Frequency(1, unit))
    if times.zoned and not shifts and not np.any(np.diff(at_T) % (86_400 * TICKS[unit])):
        lengths = (day_T.astype(np.int64), Frequency(1, "day", clock=clock))  # the clocks may change later
    frequent = np.diff(at_T).min() < FREQUENT_DAYS * 86_400 * TICKS[unit]
    if frequent:
        yield lengths
    dates = bool(np.all(np.abs(clock_T - clock) <= tolerance(shifts, unit)))
    if not frequent:
        if dates:
            yield from ((count_T, counted._replace(clock=clock)) for count_T, counted in _months(day_T))
        yield lengths
    if shifts:
        yield (
            (day_T.astype(np.int64), Frequency(1, "day", clock=clock))
            if dates
            else (wall_T, Frequency(1, unit, on_wall=True))
        )
    if dates and np.all(np.is_busday(day_T)):
        yield np.busday_count(EPOCH, day_T), Frequency(1, "business day", clock=clock)


def on_calendar(wall_N: Integers, unit: str) -> tuple[np.ndarray, Integers]:
    """Return the day of each time, as `datetime64[D]`, and its time of day in ticks."""
    ticks = 86_400 * TICKS[unit]
    number_N = wall_N // ticks
    return number_N.astype("datetime64[D]"), wall_N - number_N * ticks


def tolerance(shifts: bool, unit: str) -> int:
    """Return how far times of day may be apart, in ticks, to count as the same.

    Some zones put clocks forward at midnight. Their day then begins at one o'clock.
    """
    return 3600 * TICKS[unit] if shifts else 0


def _months(day_T: np.ndarray) -> Iterator[tuple[Integers, Frequency]]:
    month_T, of_month_T, length_T = in_month(day_T)
    # The 31st of a short month is its last day.
    if np.all(of_month_T == np.minimum(of_month_T.max(), length_T)):
        day = MONTH_END if np.all(of_month_T == length_T) else int(of_month_T.max())
        yield month_T, Frequency(1, "month", day=day)
    begins = of_month_T.min() == 1
    first_T = of_month_T == (1 if begins else 15)
    second_T = of_month_T == (15 if begins else length_T)
    if np.all(first_T | second_T):
        yield 2 * month_T + second_T, Frequency(1, "half month", day=1 if begins else 15)


def in_month(day_N: np.ndarray) -> tuple[Integers, Integers, Integers]:
    """Return the number of each day's month since 1970, the day of the month from 1, and the length of the month."""
    month_N = day_N.astype("datetime64[M]")
    first_N = month_N.astype("datetime64[D]")
    length_N = ((month_N + 1).astype("datetime64[D]") - first_N).astype(np.int64)
    return month_N.astype(np.int64), (day_N - first_N).astype(np.int64) + 1, length_N


def resolution(at_T: Floats, precision: float) -> float:
    """Return the distance of the largest number from its neighbour in the type of this precision."""
    return float(np.spacing(np.abs(at_T).max())) * (precision / DOUBLE)


def _floats(at_T: Floats, precision: float) -> Grid | Uneven:
    """Return the grid of times that are floats, which are rounded to the resolution of the largest."""
    apart_T, least = np.diff(at_T), resolution(at_T, precision)
    step = max(float(np.median(apart_T)), least)
    steps_T = np.rint(apart_T / step)
    tolerance = 1e-6 * step + 2 * least
    off_T = (np.abs(apart_T - steps_T * step) > tolerance * np.maximum(steps_T, 1)) | (steps_T < 1)
    if np.any(off_T):
        first = int(np.argmax(off_T))
        return Uneven(first + 1, f"{apart_T[first]:.12g}", f"{step:.12g}")
    position_T = np.concatenate([[0], np.cumsum(steps_T)]).astype(np.int64)
    return Grid(position_T, Frequency(float(at_T[-1] - at_T[0]) / int(position_T[-1]), ""))


def _usual(number_T: Integers) -> int:
    """Return the most common number, and the smallest if several are."""
    number, count = np.unique(number_T, return_counts=True)
    return int(number[np.argmax(count)])


def _many(count: int, unit: str) -> str:
    """Return a number of units for people."""
    if unit in TICKS:
        length = count * (10**9 // TICKS[unit])
        unit, size = next((name, size) for name, size in _DURATIONS if length % size == 0)
        count = length // size
    elif unit == "month" and count % 12 == 0:
        count, unit = count // 12, "year"
    plural = "s" if count != 1 and unit in ("day", "month", "half month", "business day", "year") else ""
    return f"{count} {unit}{plural}".strip()
