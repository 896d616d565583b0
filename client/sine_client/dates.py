"""The dates that follow those of a series, by its frequency.

Dates are counted on the clock that their frequency is counted on, and then put on the other one. Where clocks are put
forward, a time that does not exist becomes the one an hour later. Where they are put back, a time that exists twice is
the first of both.

Shape suffixes: B series, S steps, N dates.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from sine_client.frequency import EPOCH, MONTH_END, TICKS, Floats, Frequency, Integers, Times, in_month, on_calendar

_FIRST = datetime(1970, 1, 1)


def following(
    last: Times, frequencies: Sequence[Frequency], number_B: Integers, ahead_S: Integers, zone: ZoneInfo | None = None
) -> Integers | Floats:
    """Return the times that are so many steps after the last one of each series, [B, S], on the scale of `at_N`.

    Args:
        last: the last time of each series, [B].
        frequencies: the different frequencies.
        number_B: the index in `frequencies` of the frequency of each series.
        ahead_S: the numbers of steps. Negative ones go back.
        zone: the time zone of dates; None if the clock of each series stays as far from UTC as at its last time.
    """
    at_BS: npt.NDArray[Any] = np.empty((len(last.at_N), len(ahead_S)), last.at_N.dtype)
    for number in np.unique(number_B):
        row_R, frequency = np.flatnonzero(number_B == number), frequencies[number]
        at_R1 = last.at_N[row_R, None]
        if frequency.unit in ("", *TICKS) and not frequency.on_wall:
            at_BS[row_R] = at_R1 + ahead_S * frequency.units
            continue
        assert last.wall_N is not None  # noqa: S101 - numbers have no calendar
        wall_R1 = last.wall_N[row_R, None]
        if frequency.on_wall:
            wall_RS = wall_R1 + ahead_S * int(frequency.units)
        else:
            wall_RS = _on_calendar(wall_R1, frequency, ahead_S * int(frequency.units), last.unit)
        at_BS[row_R] = wall_RS - (wall_R1 - at_R1) if zone is None else to_utc(wall_RS, last.unit, zone)
    return at_BS


def _on_calendar(wall_R1: Integers, frequency: Frequency, ahead_S: Integers, unit: str) -> Integers:
    """Return the dates [R, S] that are so many units after dates, as the clock on the wall shows them."""
    day_R1, _ = on_calendar(wall_R1, unit)
    day_RS: npt.NDArray[Any]
    of_month_RS: npt.NDArray[Any]
    if frequency.unit == "day":
        day_RS = day_R1 + ahead_S
    elif frequency.unit == "business day":
        day_RS = np.busday_offset(EPOCH, np.busday_count(EPOCH, day_R1) + ahead_S, roll="forward")
    else:
        month_R1, of_month_R1, _ = in_month(day_R1)
        if frequency.unit == "month":
            month_RS, of_month_RS = month_R1 + ahead_S, np.asarray(frequency.day)
        else:  # the other half of a month begins on the 15th or ends it
            half_RS = 2 * month_R1 + (of_month_R1 != frequency.day) + ahead_S
            month_RS = half_RS // 2
            of_month_RS = np.where(half_RS % 2, 15 if frequency.day == 1 else MONTH_END, frequency.day)
        first_RS = month_RS.astype("datetime64[M]").astype("datetime64[D]")
        day_RS = first_RS + np.minimum(of_month_RS, in_month(first_RS)[2]) - 1
    ticks: Integers = day_RS.astype(np.int64) * (86_400 * TICKS[unit]) + frequency.clock
    return ticks


def to_utc(wall_N: Integers, unit: str, zone: ZoneInfo) -> Integers:
    """Return what the clock on the wall shows in a zone as times in UTC. The array may have any shape."""

    def offset(second: int) -> timedelta | None:
        return (_FIRST + timedelta(seconds=second)).replace(tzinfo=zone).utcoffset()

    return wall_N - _offsets(wall_N, unit, offset)


def to_wall(at_N: Integers, unit: str, zone: ZoneInfo) -> Integers:
    """Return times in UTC as the clock on the wall shows them in a zone. The array may have any shape."""

    def offset(second: int) -> timedelta | None:
        return (_FIRST.replace(tzinfo=UTC) + timedelta(seconds=second)).astimezone(zone).utcoffset()

    return at_N + _offsets(at_N, unit, offset)


def _offsets(ticks_N: Integers, unit: str, offset_at: Callable[[int], timedelta | None]) -> Integers:
    """Return the offset from UTC at each time, in ticks. Series often share their times, so each is looked up once."""
    second_M, place_N = np.unique(ticks_N // TICKS[unit], return_inverse=True)
    offset_M = np.array([(offset_at(second) or timedelta()).total_seconds() for second in second_M.tolist()])
    found: Integers = offset_M.astype(np.int64)[place_N].reshape(ticks_N.shape) * TICKS[unit]
    return found
