"""Tables of series in long form, as requests of `/forecast`: the times of each series are checked here.

Shape suffixes: N rows, T rows of one series.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from sine_client.dates import to_wall
from sine_client.frequency import DOUBLE, Floats, Grid, Integers, Times, grid_of, resolution
from sine_client.stamps import UNIT, Stamp, WrongTime, read_stamp, read_text, write_frequency, write_stamps
from sine_client.starts import Time, WrongStart, times_after

MOST_SERIES, MOST_BYTES = 64, 262_144
"""The most series in a request, and the most bytes of a request with several series. A service takes so many by
default."""

Kind = Literal["number", "date", "time", "offset", "zone"]


@dataclass(frozen=True)
class TimeColumn:
    """A column of times."""

    kind: Kind
    at_N: Integers | Floats
    """Numbers, or microseconds since 1970 in UTC."""

    wall_N: Integers | None = None
    """Microseconds since 1970 as the clock on the wall shows them. None for numbers."""

    zone: ZoneInfo | None = None

    precision: float = DOUBLE
    """For numbers with fractions: the relative distance of neighbours in the type of the column."""

    def stamp(self, row: int) -> Stamp:
        assert self.wall_N is not None and self.kind != "number"  # noqa: S101, PT018 - numbers are no dates
        return Stamp(int(self.at_N[row]), int(self.wall_N[row]), self.kind, self.zone)


class Rows(NamedTuple):
    """One series of a table."""

    id: str | int
    y: list[float]
    start: Time | None
    freq: Time | None


def column_of_texts(texts: Sequence[str]) -> TimeColumn:
    """Return a column of dates that are texts. Raises ValueError, which names the first one that is none."""
    stamps: dict[str, Stamp] = {}
    for text in dict.fromkeys(texts):
        try:
            stamps[text] = read_text(text.strip())
        except WrongTime as error:
            raise ValueError(f"the time {text!r} cannot be read: {error}") from None
    kinds = {stamp.kind for stamp in stamps.values()}
    if len(kinds - {"date"}) > 1 or (len(kinds) > 1 and not kinds <= {"date", "time"}):
        raise ValueError(f"the times have different forms: {', '.join(sorted(kinds))}")
    at_N = np.array([stamps[text].at for text in texts], np.int64)
    wall_N = np.array([stamps[text].wall for text in texts], np.int64)
    kind = max(kinds)  # a date among dates with times is a time
    return TimeColumn(kind, at_N, wall_N, next(iter(stamps.values())).zone)


def column_of_dates(at_N: Integers, zone: str | None, whole_days: bool) -> TimeColumn:
    """Return a column of microseconds since 1970, in UTC if there is a zone."""
    if zone is None:
        return TimeColumn("date" if whole_days else "time", at_N, at_N)
    try:
        found = ZoneInfo(zone)
    except (ValueError, KeyError, OSError):
        raise ValueError(f"the time zone {zone!r} has no name; convert to one like UTC or Europe/Berlin") from None
    return TimeColumn("zone", at_N, to_wall(at_N, UNIT, found), found)


def series_of(ids: Sequence[str | int], y_N: Floats, times: TimeColumn | None, freq: Time | None) -> Iterator[Rows]:
    """Yield the series of a table in long form.

    The rows of a series may stand anywhere. Raises ValueError, which names the series, for two rows of one time, for
    times that are not evenly spaced or do not have the frequency `freq`, and for missing values.
    """
    known: dict[bytes, tuple[Time | None, Time | None]] = {}
    for name, row_T in _rows(ids):
        if times is not None and np.any(np.diff(times.at_N[row_T]) <= 0):
            row_T = row_T[np.argsort(times.at_N[row_T], kind="stable")]
            if np.any(same_T := np.diff(times.at_N[row_T]) == 0):
                raise ValueError(f"series {name!r}: two rows have the time {_shown(times, row_T[same_T.argmax()])}")
        value_T = y_N[row_T]
        if np.any(missing_T := ~np.isfinite(value_T)):
            where = f" at {_shown(times, row_T[missing_T.argmax()])}" if times is not None else ""
            raise ValueError(f"series {name!r}: a value{where} is missing or not finite")
        start: Time | None = None
        of_series: Time | None = None
        if times is not None:
            key = times.at_N[row_T].tobytes()
            if key not in known:
                known[key] = _begins(name, times, row_T, freq)
            start, of_series = known[key]
        yield Rows(name, value_T.tolist(), start, of_series)


def _rows(ids: Sequence[str | int]) -> Iterator[tuple[str | int, npt.NDArray[np.int64]]]:
    """Yield the rows of each series, in the order of their first rows."""
    id_N = np.array(ids, dtype=object)
    first_R = np.append(np.flatnonzero(np.append(True, id_N[1:] != id_N[:-1])), len(id_N))
    runs: dict[str | int, list[npt.NDArray[np.int64]]] = {}
    for first, end in zip(first_R.tolist(), first_R[1:].tolist(), strict=False):
        runs.setdefault(ids[first], []).append(np.arange(first, end))
    for name, parts in runs.items():
        yield name, np.concatenate(parts)


def _begins(name: str | int, times: TimeColumn, row_T: Integers, freq: Time | None) -> tuple[Time, Time]:
    """Return the start of a series and its frequency, both as in a request. Raises ValueError."""
    numbers = times.kind == "number"
    start: Time = times.at_N[row_T[0]].item() if numbers else _start(times.stamp(int(row_T[0])))
    if freq is not None:
        _check(name, times, row_T, start, freq)
        return start, freq
    if len(row_T) < 2:
        raise ValueError(f"series {name!r}: a single time has no frequency; freq has to be given")
    wall_T = None if times.wall_N is None else times.wall_N[row_T]
    grid = grid_of(Times(times.at_N[row_T], wall_T, "" if numbers else UNIT, times.zone is not None, times.precision))
    if not isinstance(grid, Grid) or grid.missing:
        first = grid.first_gap if isinstance(grid, Grid) else grid.index
        usual = f", and the usual step is {grid.step}"
        before, after = _shown(times, row_T[first - 1]), _shown(times, row_T[first])
        raise ValueError(f"series {name!r}: {after} comes after {before}{usual}; times have to be evenly spaced")
    return start, grid.frequency.units if numbers else write_frequency(grid.frequency)


def _check(name: str | int, times: TimeColumn, row_T: Integers, start: Time, freq: Time) -> None:
    """Raise ValueError if the times of a series are not those of its start and a frequency."""
    try:
        expected = times_after(start, freq, 0, len(row_T))
    except WrongStart as error:
        raise ValueError(f"series {name!r}: {error.field}: {error}") from None
    if times.kind == "number":
        _check_numbers(name, times.at_N[row_T], np.array(expected), freq, times.precision)
        return
    found = [_shown(times, row) for row in row_T]
    for one, other in zip(expected, found, strict=True):
        if one != other and read_stamp(str(one)).at != read_stamp(str(other)).at:
            raise ValueError(f"series {name!r}: with the frequency {freq}, {one} is expected, not {other}")


def _check_numbers(
    name: str | int, at_T: Integers | Floats, expected_T: Integers | Floats, freq: Time, precision: float
) -> None:
    """Raise ValueError if times that are numbers are not those that a frequency makes. Fractions may be rounded."""
    if at_T.dtype == np.int64 and int(freq) != freq:
        raise ValueError(f"series {name!r}: the frequency {freq} is not whole, and the times are whole numbers")
    rounding = 0.0
    if at_T.dtype == np.float64:
        rounding = 1e-6 * float(freq) + 2 * resolution(at_T.astype(np.float64), precision)
    off_T = np.abs(at_T - expected_T) > rounding
    if np.any(off_T):
        first = int(off_T.argmax())
        raise ValueError(
            f"series {name!r}: with the frequency {freq}, {expected_T[first]} is expected, not {at_T[first]}"
        )


def _start(stamp: Stamp) -> str:
    text = write_stamps(np.array([stamp.at]), stamp)[0]
    return text if stamp.zone is None else f"{text}[{stamp.zone.key}]"


def _shown(times: TimeColumn, row: np.int64 | int) -> str:
    if times.kind == "number":
        return str(times.at_N[row])
    stamp = times.stamp(int(row))
    return write_stamps(np.array([stamp.at]), stamp)[0]
