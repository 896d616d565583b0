"""A file of many series as one array: what `read_series` reads, for files with many thousands of series.

A series that cannot be used does not stop the others. The checks of `model/series/rows.py` look at it alone, and its
error is kept beside the series that can be used. The times of all others are checked together, by
`model/series/regular.py`.

Shape suffixes: N rows or values, B series.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from model.series.columns import Columns, choose
from model.series.forms import TimeForm, form_of_file, form_of_times
from model.series.gaps import Fill
from model.series.regular import UNKNOWN, Mask, regular_frequencies
from model.series.rows import Rows
from model.series.table import SeriesError, Table, blocks, read_content, table_of
from model.series.times import times
from model.series.values import bad_value, check_ids, checked_numbers, is_empty, no_id
from sine_client.columns import DS
from sine_client.columns import UNIQUE_ID as UNIQUE_ID
from sine_client.frequency import Floats, Frequency, Integers, Times

ROWS = 100_000
"""The number of rows that are looked at together."""


class Refused(NamedTuple):
    """A series that cannot be used."""

    id: object
    reason: str


@dataclass(frozen=True)
class Panel:
    """The series of a file, one after the other."""

    ids: pl.Series
    """The id of each series [B], in the type of its column. The name of the column of values if there are no ids."""

    value_N: Floats
    """The values of all series, each in the order of time."""

    start_B1: Integers
    """The index of the first value of each series, and the number of all values."""

    last: Times
    """The last time of each series [B]. Without times, the number of its values."""

    frequencies: list[Frequency]
    frequency_B: Integers
    """The index of each series' frequency in `frequencies`."""

    form: TimeForm
    """How the file writes times."""

    refused: list[Refused]
    columns: Columns


@dataclass(frozen=True)
class Choice:
    """The columns to read of a file. The fields are the arguments of `read_series`."""

    column: str | None = None
    time: str | None = None
    id: str | None = None
    fill: Fill | None = None
    at_least: int = 1

    @property
    def ids(self) -> str | None:
        """The name of the column of ids, if the file has one: the usual name may be that of another column."""
        return self.id or (None if UNIQUE_ID in (self.column, self.time) else UNIQUE_ID)


def read_panels(path: Path, choice: Choice, rows: int = ROWS) -> Iterator[Panel]:
    """Yield the series of a CSV or Parquet file in blocks of about so many rows, so that a large file fits into memory.

    The rows of a series have to be together. They need not be in the order of time.

    Raises:
        SeriesError: the file, its columns or a time in it is not usable, or the rows of a series are not together.
    """
    content = read_content(path)
    whole = table_of(path, content, choice.ids)
    first_B1 = first_rows(whole, choice.ids)
    starts, end = [0], int(first_B1[-1])
    while starts[-1] < end:
        # The last series that ends within so many rows, or the next one if it is longer
        series = int(np.searchsorted(first_B1, starts[-1] + rows, side="right")) - 1
        starts.append(int(first_B1[series] if first_B1[series] > starts[-1] else first_B1[series + 1]))
    form = form_of_file(content, whole, choice.time or DS, starts) if len(starts) > 2 else None
    known: TimeForm | None = None
    del whole  # its memory is free again
    for table in blocks(path, content, starts):
        end = table.first + table.frame.height
        first, last = np.searchsorted(first_B1, (table.first, end)).tolist()
        panel = panel_of(table, choice, first_B1[first : last + 1] - table.first, form)
        known = known or panel.form
        if panel.form.family != known.family:
            why = f"{panel.columns.time} has {known.family} before this row, and {panel.form.family} from here on"
            raise table.error(0, f"{why}; all times of a file need one form")
        yield panel


def panel_of(table: Table, choice: Choice, start_B1: Integers | None = None, form: TimeForm | None = None) -> Panel:
    """Return the series of a table.

    `start_B1` is the result of `first_rows`, and `form` that of `form_of_file`, if they are known. `read_panels` has
    the errors.
    """
    fill, at_least, path = choice.fill, choice.at_least, table.path
    columns = choose(table, choice.column, choice.time, choice.id)
    value_N, bad_N = checked_numbers(table, columns.value)
    value_N = value_N.copy()  # Arrow's memory is read-only, which compiled functions do not take
    time_N = None if columns.time is None else times(table, columns.time)
    if start_B1 is None:
        start_B1 = first_rows(table, columns.id)
    first_B, length_B = start_B1[:-1], np.diff(start_B1)
    fine_B = (length_B >= at_least) & ~np.logical_or.reduceat(np.isnan(value_N), first_B)
    if time_N is None:
        last = Times(length_B.copy())
        frequencies, frequency_B = [Frequency(1, "")], np.zeros(len(first_B), np.int64)
    else:
        last = time_N[start_B1[1:] - 1]
        frequencies, frequency_B = regular_frequencies(time_N, start_B1)
        fine_B &= frequency_B != UNKNOWN

    refused: list[Refused] = []
    alone: dict[int, Floats] = {}
    numbers: dict[Frequency, int] = {}
    ids = _ids(table, columns, first_B)
    for index in np.flatnonzero(~fine_B).tolist():
        row_T = np.arange(start_B1[index], start_B1[index + 1])
        try:
            if bad_N[row_T].any():
                raise bad_value(table, columns.value, int(row_T[bad_N[row_T].argmax()]))
            rows = Rows(table, columns, str(ids[index]), row_T)
            values_T, frequency, end = _alone(rows, value_N, time_N, fill, at_least)
        except SeriesError as error:
            refused.append(Refused(ids[index], str(error).replace(str(path), path.name, 1)))
            continue
        alone[index] = values_T
        if frequency not in numbers:
            numbers[frequency] = len(frequencies)
            frequencies.append(frequency)
        frequency_B[index] = numbers[frequency]
        if time_N is None:
            last.at_N[index] = len(values_T)
        else:
            last.at_N[index] = time_N.at_N[end]
            if last.wall_N is not None and time_N.wall_N is not None:
                last.wall_N[index] = time_N.wall_N[end]
    if alone or refused:
        fine_B[list(alone)] = True
        value_N, start_B1 = _joined(value_N, start_B1, fine_B, alone)
        ids, last, frequency_B = ids.filter(pl.Series(fine_B)), last[np.flatnonzero(fine_B)], frequency_B[fine_B]
    form = form or form_of_times(table, columns)
    return Panel(ids, value_N, start_B1, last, frequencies, frequency_B, form, refused, columns)


def first_rows(table: Table, id: str | None) -> Integers:
    """Return the first row of each series, and the number of all rows, [B+1]. `id` is the column that names series.

    All rows are one series if it is None, or if there is no such column.

    Raises:
        SeriesError: there are no rows, a row has no id, or the rows of a series are not together.
    """
    height = table.frame.height
    if not height:
        raise SeriesError(f"{table.path}: there are no rows")
    if id is None or id not in table.frame.columns:
        return np.array([0, height])
    column = check_ids(table, id)
    # A slice at a time, because comparing texts takes as much memory as the texts
    begins = [pl.Series([0])]
    for first in range(1, height, ROWS):
        here = column.slice(first, ROWS)
        begins.append((here != column.slice(first - 1, len(here))).arg_true().cast(pl.Int64) + first)
    first_B = pl.concat(begins)
    runs = column.gather(first_B)
    if (empty := is_empty(runs)).any():
        raise no_id(table, id, int(first_B[int(empty.arg_true()[0])]))
    if runs.n_unique() < len(runs):
        again = int((~runs.is_first_distinct()).arg_true()[0])
        before = int(first_B[int((runs == runs[again]).arg_true()[0])])
        why = f"series {runs[again]!r} began in row {table.row(before)}, and other series are in between"
        why += f"; the rows of a series have to be together: sort the file by {id}"
        raise table.error(int(first_B[again]), why)
    return np.append(first_B.to_numpy(), height)


def _alone(
    rows: Rows, value_N: Floats, time_N: Times | None, fill: Fill | None, at_least: int
) -> tuple[Floats, Frequency, int]:
    """Return the values of one series, its frequency, and the row of its last time. Raises SeriesError."""
    if time_N is not None:
        rows = rows.in_order(time_N)
    grid = rows.grid(time_N)
    values_T = rows.values(value_N, grid, fill, at_least)
    if not grid.frequency.units:
        raise rows.table.error(rows.row_T[0], "a single time has no frequency; a series has at least 2 points")
    return values_T, grid.frequency, int(rows.row_T[-1])


def _ids(table: Table, columns: Columns, first_B: Integers) -> pl.Series:
    if columns.id is None:
        return pl.Series([columns.value])
    column = table.frame[columns.id]
    # From a list, because what is gathered would keep the texts of all rows in memory
    return pl.Series(column.gather(first_B).to_list(), dtype=column.dtype)


def _joined(value_N: Floats, start_B1: Integers, kept_B: Mask, alone: dict[int, Floats]) -> tuple[Floats, Integers]:
    """Return the values of the series that are kept, and the first one of each. `alone` has new values of some."""
    length_B = np.diff(start_B1)
    own_B, new_B = kept_B.copy(), np.where(kept_B, length_B, 0)
    for index, values_T in alone.items():
        own_B[index], new_B[index] = False, len(values_T)
    new_B1 = np.concatenate([[0], np.cumsum(new_B)])
    joined_N = np.empty(new_B1[-1])
    joined_N[np.repeat(own_B, new_B)] = value_N[np.repeat(own_B, length_B)]
    for index, values_T in alone.items():
        joined_N[new_B1[index] : new_B1[index + 1]] = values_T
    return joined_N, np.append(new_B1[:-1][kept_B], new_B1[-1])
