"""The frequencies of many series at once, for those whose times have no gap.

`regular_frequencies` finds what `grid_of` finds for each series alone, in a few operations over all rows. It leaves out
what is rare: gaps, rows in another order, times that are fractions, and clocks that change at midnight.

Shape suffixes: N rows, B series, R series of a part of them.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from sine_client.frequency import (
    EPOCH,
    FREQUENT_DAYS,
    MONTH_END,
    TICKS,
    Frequency,
    Integers,
    Times,
    in_month,
    on_calendar,
)

Mask = npt.NDArray[np.bool_]

UNKNOWN = -1
"""The number of the frequency of a series that has to be looked at alone."""


def regular_frequencies(times: Times, start_B1: Integers) -> tuple[list[Frequency], Integers]:
    """Return the different frequencies of series, and the number of that of each series [B], or `UNKNOWN`.

    Args:
        times: the times of all rows. The rows of a series are together.
        start_B1: the first row of each series, and the number of all rows.
    """
    number_B = np.full(len(start_B1) - 1, UNKNOWN)
    frequencies: list[Frequency] = []
    several_B = np.diff(start_B1) > 1
    if times.at_N.dtype == np.float64 or not several_B.any():
        return frequencies, number_B
    for index_R, fields_R, frequency in _found(times, start_B1, several_B):
        if len(index_R):
            different, which_R = _different(fields_R)
            number_B[index_R] = len(frequencies) + which_R
            frequencies += [
                frequency._replace(units=count, day=day, clock=clock) for count, day, clock in different.tolist()
            ]
    return frequencies, number_B


def _different(fields_R: Integers) -> tuple[Integers, Integers]:
    """Return the different rows of fields [R, 3], and the number of that of each row [R]."""
    if (fields_R == fields_R[0]).all():  # as in most files. Rows take long to sort
        return fields_R[:1], np.zeros(len(fields_R), np.int64)
    different, which_R = np.unique(fields_R, axis=0, return_inverse=True)
    return different, which_R.reshape(-1)


def _found(times: Times, start_B1: Integers, several_B: Mask) -> Iterator[tuple[Integers, Integers, Frequency]]:
    """Yield the index of series with the same unit [R], their count, day and clock [R, 3], and that unit."""
    at_N = times.at_N.astype(np.int64, copy=False)
    step_B, even_B = _steps(at_N, start_B1)
    even_B &= several_B
    if times.wall_N is None:
        yield _rows(even_B, step_B, Frequency(1, times.unit))
        return
    frequent = FREQUENT_DAYS * 86_400 * TICKS[times.unit]
    first_B = even_B & (step_B < frequent)
    yield from _lengths(times, start_B1, first_B, step_B)
    index_R = np.flatnonzero(several_B & ~first_B)
    if len(index_R):
        for found_R, fields_R, frequency in _on_calendar(*_part(times, start_B1, index_R)):
            yield index_R[found_R], fields_R, frequency


def _on_calendar(times: Times, start_R1: Integers) -> Iterator[tuple[Integers, Integers, Frequency]]:
    """Yield the same of series whose times are no short lengths of time apart, in the order of `grid_of`."""
    at_N, wall_N, unit = times.at_N.astype(np.int64, copy=False), times.wall_N, times.unit
    assert wall_N is not None  # noqa: S101 - numbers have no calendar
    first_R = start_R1[:-1]
    step_R, even_R = _steps(at_N, start_R1)
    apart_N = np.diff(at_N, append=0)
    apart_N[start_R1[1:] - 1] = np.iinfo(np.int64).max
    least_R = np.minimum.reduceat(apart_N, first_R)
    rare_R = least_R >= FREQUENT_DAYS * 86_400 * TICKS[unit]
    day_N, clock_N = on_calendar(wall_N, unit)
    dates_R = ~_differ(clock_N, start_R1)
    shifts_R = _differ(wall_N - at_N, start_R1)
    clock_R = clock_N[first_R]
    left_R = least_R > 0
    month_N, of_month_N, length_N = in_month(day_N)
    day_R = np.maximum.reduceat(of_month_N, first_R)
    ends_R = ~_any(of_month_N != length_N, first_R)

    of_months_R = ~_any(of_month_N != np.minimum(_spread(day_R, start_R1), length_N), first_R)
    count_R, monthly_R = _steps(month_N, start_R1)
    chosen_R = left_R & rare_R & dates_R & of_months_R & monthly_R
    yield _rows(chosen_R, count_R, Frequency(1, "month"), np.where(ends_R, MONTH_END, day_R), clock_R)
    left_R &= ~chosen_R

    begins_R = np.minimum.reduceat(of_month_N, first_R) == 1
    begins_N = _spread(begins_R, start_R1)
    second_N = of_month_N == np.where(begins_N, 15, length_N)
    halves_R = ~_any(~(second_N | (of_month_N == np.where(begins_N, 1, 15))), first_R)
    count_R, even_halves_R = _steps(2 * month_N + second_N, start_R1)
    chosen_R = left_R & rare_R & dates_R & halves_R & even_halves_R
    yield _rows(chosen_R, count_R, Frequency(1, "half month"), np.where(begins_R, 1, 15), clock_R)
    left_R &= ~chosen_R

    chosen_R = left_R & rare_R & even_R & (dates_R | ~shifts_R)
    yield from _lengths(times, start_R1, chosen_R, step_R)
    left_R &= ~chosen_R & dates_R

    count_R, daily_R = _steps(day_N.astype(np.int64), start_R1)
    chosen_R = left_R & shifts_R & daily_R
    yield _rows(chosen_R, count_R, Frequency(1, "day"), clock_R=clock_R)
    left_R &= ~chosen_R

    count_R, even_days_R = _steps(np.busday_count(EPOCH, day_N), start_R1)
    chosen_R = left_R & even_days_R & ~_any(~np.is_busday(day_N), first_R)
    yield _rows(chosen_R, count_R, Frequency(1, "business day"), clock_R=clock_R)


def _lengths(
    times: Times, start_B1: Integers, chosen_B: Mask, step_B: Integers
) -> Iterator[tuple[Integers, Integers, Frequency]]:
    """Yield the same of the chosen series, whose times are a length apart. Whole days in a time zone are days."""
    assert times.wall_N is not None  # noqa: S101 - numbers have no calendar
    if times.zoned:
        ticks = 86_400 * TICKS[times.unit]
        shift_N = times.wall_N - times.at_N.astype(np.int64, copy=False)
        days_B = chosen_B & (step_B % ticks == 0) & ~_differ(shift_N, start_B1)
        clock_B = times.wall_N[start_B1[:-1]] % ticks
        yield _rows(days_B, step_B // ticks, Frequency(1, "day"), clock_R=clock_B)
        chosen_B = chosen_B & ~days_B
    yield _rows(chosen_B, step_B, Frequency(1, times.unit))


def _rows(
    chosen_R: Mask,
    count_R: Integers,
    frequency: Frequency,
    day_R: Integers | None = None,
    clock_R: Integers | None = None,
) -> tuple[Integers, Integers, Frequency]:
    zero_R = np.zeros(len(chosen_R), np.int64)
    fields_R3 = np.stack([count_R, zero_R if day_R is None else day_R, zero_R if clock_R is None else clock_R], axis=1)
    return np.flatnonzero(chosen_R), fields_R3[chosen_R], frequency


def _steps(count_N: Integers, start_B1: Integers) -> tuple[Integers, Mask]:
    """Return the first distance of neighbours in each series [B], and whether all of them are this one, above 0 [B]."""
    apart_N = np.diff(count_N, append=0)
    step_B = apart_N[start_B1[:-1]]
    other_N = apart_N != _spread(step_B, start_B1)
    other_N[start_B1[1:] - 1] = False  # the last row of a series has no neighbour
    return step_B, ~_any(other_N, start_B1[:-1]) & (step_B > 0)


def _differ(number_N: Integers, start_B1: Integers) -> Mask:
    """Return whether a series has different numbers."""
    return _any(number_N != _spread(number_N[start_B1[:-1]], start_B1), start_B1[:-1])


def _any(flag_N: Mask, first_B: Integers) -> Mask:
    found: Mask = np.logical_or.reduceat(flag_N, first_B)
    return found


def _spread(each_B: npt.NDArray[np.generic], start_B1: Integers) -> npt.NDArray[np.generic]:
    """Return for each row what its series has."""
    return np.repeat(each_B, np.diff(start_B1))


def _part(times: Times, start_B1: Integers, index_R: Integers) -> tuple[Times, Integers]:
    """Return the times of some series, and the first row of each among them."""
    length_R = np.diff(start_B1)[index_R]
    start_R1 = np.concatenate([[0], np.cumsum(length_R)])
    if len(index_R) == len(start_B1) - 1:
        return times, start_R1
    row_N = np.arange(start_R1[-1]) + np.repeat(start_B1[index_R] - start_R1[:-1], length_R)
    return times[row_N], start_R1
