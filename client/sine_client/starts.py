"""The start and the frequency of a series in a request, and the times that follow it."""

import math

import numpy as np

from sine_client.dates import following
from sine_client.stamps import UNIT, WrongTime, read_frequency, read_stamp, write_stamps

Time = str | int | float

_DAY = 86_400 * 10**6
_MICROSECONDS = {UNIT: 1, "day": _DAY, "business day": 2 * _DAY, "half month": 16 * _DAY, "month": 31 * _DAY}
"""The length of a unit, at most."""

_WHOLE = range(-(2**63), 2**63)

_LAST = int(np.datetime64("9990-01-01", "us").astype(np.int64))


class WrongStart(ValueError):
    """The start or the frequency of a series cannot be used. The message says what is allowed in its `field`."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def times_after(
    start: Time | None, freq: Time | None, given: int, steps: int, first: int | None = None
) -> list[str] | list[int] | list[float]:
    """Return the times of the `steps` values after the `given` ones of a series, or of those from number `first` on.

    The values are counted from 1 if there is no start. Raises WrongStart.
    """
    number_S = np.arange(given if first is None else first, (given if first is None else first) + steps)
    if start is None:
        if freq is not None:
            raise WrongStart("start", "it is needed with freq")
        counted: list[int] = (number_S + 1).tolist()
        return counted
    if freq is None:
        raise WrongStart("freq", "it is needed with start")
    if not isinstance(start, str):
        if isinstance(freq, str) or not freq > 0:
            raise WrongStart("freq", "a number above 0, because start is a number")
        return _numbers(start, freq, number_S.tolist())
    if not isinstance(freq, str):
        raise WrongStart("freq", "text, such as D or 15min, because start is a date")
    try:
        stamp = read_stamp(start)
    except WrongTime as error:
        raise WrongStart("start", str(error)) from None
    try:
        frequency = read_frequency(freq, stamp)
    except WrongTime as error:
        raise WrongStart("freq", str(error)) from None
    if stamp.at + frequency.units * _MICROSECONDS[frequency.unit] * int(number_S[-1]) > _LAST:
        raise WrongStart("freq", "one with which the forecast ends before the year 9990")
    at_BS = following(stamp.times, [frequency], np.zeros(1, np.int64), number_S, stamp.zone)
    return write_stamps(at_BS[0].astype(np.int64), stamp)


def _numbers(start: int | float, freq: int | float, number_S: list[int]) -> list[int] | list[float]:
    """Return the times of the values with these numbers. Raises WrongStart if they cannot be told apart, or written."""
    for field, value in (("start", start), ("freq", freq)):
        if value not in _WHOLE if isinstance(value, int) else not math.isfinite(value):
            raise WrongStart(field, "a finite number; a whole one from -2^63 to 2^63 - 1")
    if isinstance(start, int) and isinstance(freq, int):
        times = [start + freq * number for number in number_S]
        if times[-1] not in _WHOLE:
            raise WrongStart("freq", "one with which the forecast ends before 2^63")
        return times
    fractions = [float(start + freq * number) for number in number_S]
    if not math.isfinite(fractions[-1]) or freq < math.ulp(fractions[-1]):
        raise WrongStart("freq", "one with which the forecast ends at a finite number that differs from the one before")
    return fractions
