"""Times and frequencies as text: those of requests and answers, and those in files.

    2026-01-31                                  a date
    2026-01-31T12:00                            a date and time; seconds and fractions of them may follow
    2026-01-31T12:00+01:00                      with its offset from UTC, which stays the same
    2026-01-31T12:00+01:00[Europe/Berlin]       in a time zone (RFC 9557), whose clocks may change

A frequency is a number and a unit: `15min`, `D`, `2W`, `3MS`. Units are those of pandas and of polars.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

from sine_client.dates import to_utc, to_wall
from sine_client.frequency import MONTH_END, TICKS, Frequency, Integers, Times, in_month, on_calendar

UNIT = "us"
_DAY = 86_400 * TICKS[UNIT]
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)

_stamp = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)(Z|[+-]\d{2}:\d{2})?(?:\[([\w+/-]{1,64})\])?)?"
).fullmatch

FILE_DATE = (
    r"^(\d{4})[-/](\d{1,2})(?:[-/](\d{1,2})(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?)?"
    r"\s*(Z|UTC|[+-]\d{2}:?\d{2}|[+-]\d{2})?$"
)
"""The pattern of dates in files. Its groups are the year, month, day, hour, minute, second, fraction and offset."""

_file_date = re.compile(FILE_DATE, re.ASCII).match

TIMES_ALLOWED = (
    "a date like 2026-01-31, a time like 2026-01-31T12:00 or 2026-01-31T12:00+01:00[Europe/Berlin], or a number"
)

_LENGTHS = {
    "us": 1,
    "ms": 1000,
    "s": TICKS[UNIT],
    "min": 60 * TICKS[UNIT],
    "h": 3600 * TICKS[UNIT],
}
_SAME = {
    "S": "s",
    "T": "min",
    "m": "min",
    "H": "h",
    "d": "D",
    "w": "W",
    "mo": "M",
    "q": "Q",
    "y": "Y",
    "A": "Y",
    "AS": "YS",
}
_MONTHS = {"M": 1, "Q": 3, "Y": 12}
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_HALVES = {"SMS": 1, "SM": 15, "SME": 15}
_frequency = re.compile(r"([1-9]\d{0,8})?([A-Za-z]{1,3})(?:-([A-Z]{3}|\d{1,2}))?").fullmatch

FREQUENCIES_ALLOWED = (
    "a number and a unit, like 15min, h, D, W, B, MS, ME, QE or YE; a number for times that are numbers"
)


class WrongTime(ValueError):
    """A time or a frequency cannot be used. The message says what is allowed."""


@dataclass(frozen=True)
class Stamp:
    """A date, in microseconds since 1970, on two clocks."""

    at: int
    """In UTC. Without an offset, the clock on the wall counts as UTC."""

    wall: int
    kind: Literal["date", "time", "offset", "zone"]
    zone: ZoneInfo | None = None

    @property
    def times(self) -> Times:
        return Times(np.array([self.at]), np.array([self.wall]), UNIT, self.zone is not None)


def read_stamp(text: str) -> Stamp:
    """Return the time that the text is. Raises WrongTime."""
    match = _stamp(text)
    if match is None:
        raise WrongTime(TIMES_ALLOWED)
    date, clock, offset, name = match.groups()
    try:
        wall = (datetime.fromisoformat(f"{date}T{clock or '00:00'}") - _EPOCH) // _MICROSECOND
        zone = None if name is None else ZoneInfo(name)
        given = None if offset is None else datetime.fromisoformat(f"2000-01-01T00:00{offset}").utcoffset()
    except (ValueError, KeyError, OSError):  # there is no such day, or no such zone
        raise WrongTime(TIMES_ALLOWED) from None
    if zone is not None:
        try:
            at = int(to_utc(np.array([wall]), UNIT, zone)[0]) if given is None else wall - given // _MICROSECOND
            exists = int(to_wall(np.array([at]), UNIT, zone)[0]) == wall
        except OverflowError:
            raise WrongTime("a time from the year 1 to the year 9999, in UTC too") from None
        if not exists:
            raise WrongTime("a time that the zone has, with the offset that the zone has then")
        return Stamp(at, wall, "zone", zone)
    if given is not None:
        return Stamp(wall - given // _MICROSECOND, wall, "offset")
    return Stamp(wall, wall, "date" if clock is None else "time")


def read_text(text: str) -> Stamp:
    """Return the time that a text in a file is, such as 2026-01 or 2026/1/31 12:00 +0100. Raises WrongTime.

    Files are written by many programs. A request has fewer forms, which are read too.
    """
    match = _file_date(text)
    if match is None:
        return read_stamp(text)
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    written = f"{year}-{month:0>2}-{day or '1':0>2}"
    if hour is not None or offset is not None:
        parts = (fraction or "").rstrip("0")
        written += f"T{hour or '0':0>2}:{minute or '00'}:{second or '00'}{'.' + parts if parts else ''}"
    if offset is not None:
        digits = "0000" if offset in ("Z", "UTC") else f"{offset[1:].replace(':', ''):0<4}"
        written += f"{offset[0] if offset[0] in '+-' else '+'}{digits[:2]}:{digits[2:]}"
    return read_stamp(written)


def write_stamps(at_S: Integers, first: Stamp) -> list[str]:
    """Return times in UTC as texts, in the form of another time of their series."""
    wall_S = to_wall(at_S, UNIT, first.zone) if first.zone is not None else at_S + (first.wall - first.at)
    if first.kind == "date" and not np.any(wall_S % _DAY):
        return [str(day) for day in wall_S.astype("datetime64[us]").astype("datetime64[D]")]
    unit = UNIT if np.any(wall_S % TICKS[UNIT]) else "s"
    texts = [str(time) for time in wall_S.astype("datetime64[us]").astype(f"datetime64[{unit}]")]
    if first.kind in ("date", "time"):
        return texts
    return [
        text + _offset(minutes)
        for text, minutes in zip(texts, ((wall_S - at_S) // (60 * TICKS[UNIT])).tolist(), strict=True)
    ]


def _offset(minutes: int) -> str:
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"


def read_frequency(text: str, first: Stamp) -> Frequency:
    """Return the frequency of a series that begins with a time. Raises WrongTime."""
    match = _frequency(text)
    if match is None:
        raise WrongTime(FREQUENCIES_ALLOWED)
    count, unit, suffix = int(match[1] or 1), _SAME.get(match[2], match[2]), match[3]
    (day,), (clock,) = on_calendar(np.array([first.wall]), UNIT)
    _, (of_month,), (length,) = in_month(np.array([day]))
    if suffix is not None:
        _check_suffix(unit, suffix, match[2], day)
    if unit in _LENGTHS:
        return Frequency(count * _LENGTHS[unit], UNIT)
    if unit in ("D", "W"):
        return Frequency(count * (7 if unit == "W" else 1), "day", clock=int(clock))
    if unit == "B":
        if not np.is_busday(day):
            raise WrongTime("a start from Monday to Friday, with the frequency B")
        return Frequency(count, "business day", clock=int(clock))
    if unit in _HALVES:
        first_day = _HALVES[unit]
        if of_month not in ((1, 15) if first_day == 1 else (15, length)):
            raise WrongTime(
                f"a start on the 15th or the {'first' if first_day == 1 else 'last'} day of a month, with {unit}"
            )
        return Frequency(count, "half month", day=first_day, clock=int(clock))
    if unit[0] not in _MONTHS or unit[1:] not in ("", "S", "E"):
        raise WrongTime(FREQUENCIES_ALLOWED)
    if (unit[1:] == "S" and of_month != 1) or (unit[1:] == "E" and of_month != length):
        raise WrongTime(f"a start on the {'first' if unit[1:] == 'S' else 'last'} day of a month, with {unit}")
    anchor = MONTH_END if of_month == length else int(of_month)
    if suffix is not None and suffix.isdigit():
        anchor = int(suffix)
    return Frequency(count * _MONTHS[unit[0]], "month", day=anchor, clock=int(clock))


def _check_suffix(unit: str, suffix: str, written: str, day: np.datetime64) -> None:
    """Raise WrongTime if a unit does not have this suffix, or if the first day of the series is not on it.

    `W-MON` begins on a Monday. `QE-DEC` and `QS-JAN` begin in a month that is whole quarters from that one, `YE-DEC` in
    the month itself. `M-15` begins on the 15th, or on the last day of a shorter month.
    """
    name = f"{written}-{suffix}"
    if unit == "W":
        if suffix not in _WEEKDAYS:
            raise WrongTime(f"a day after {written}-, from MON to SUN, or none")
        if int(day.astype(np.int64) + 3) % 7 != _WEEKDAYS.index(suffix):  # 1970 began on a Thursday
            raise WrongTime(f"a start on the weekday of {name}")
    elif unit == "M":
        _, (of_month,), (length,) = in_month(np.array([day]))
        if not suffix.isdigit() or not 1 <= int(suffix) <= MONTH_END:
            raise WrongTime(f"a day of the month after {written}-, from 1 to {MONTH_END}, or none")
        if of_month != min(int(suffix), length):
            raise WrongTime(f"a start on the day of the month of {name}, or on the last day of a shorter month")
    elif unit in ("Q", "QS", "QE", "Y", "YS", "YE"):
        if suffix not in _MONTH_NAMES:
            raise WrongTime(f"a month after {written}-, from JAN to DEC, or none")
        between = int(day.astype("datetime64[M]").astype(np.int64)) - _MONTH_NAMES.index(suffix)
        if between % _MONTHS[unit[0]]:
            months = f"in the month of {name}" if unit[0] == "Y" else f"in a month that is whole quarters from {suffix}"
            raise WrongTime(f"a start {months}, with {name}")
    else:
        raise WrongTime(f"{written} without a suffix; {FREQUENCIES_ALLOWED}")


def write_frequency(frequency: Frequency) -> str:
    """Return the text of a frequency of times in microseconds. `read_frequency` reads it."""
    count = int(frequency.units)
    if frequency.unit == UNIT:
        name, length = next((n, size) for n, size in reversed(_LENGTHS.items()) if count % size == 0)
        return f"{count // length}{name}"
    if frequency.unit == "month":
        return f"{count}M-{frequency.day}"
    if frequency.unit == "half month":
        return f"{count}{'SMS' if frequency.day == 1 else 'SME'}"
    return f"{count}{'B' if frequency.unit == 'business day' else 'D'}"
