"""From a file to series: choose the columns, check types, values and times, and close gaps where that is asked for."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from model.series.columns import Columns, choose
from model.series.gaps import Fill
from model.series.rows import Rows
from model.series.table import SeriesError, Table, read_table
from model.series.times import times
from model.series.values import Floats, ids, numbers
from sine_client.frequency import Integers


@dataclass(frozen=True)
class Reading:
    """The series of a file, and what a user should know about how they were read."""

    values: dict[str, Floats]
    """The values [T] of each series in the order of time, by its id, or by its column if the file has no ids."""

    notes: list[str] = field(default_factory=list)
    """Sentences: columns that are not used, gaps that were filled, different frequencies."""


def read_series(
    path: Path,
    column: str | None = None,
    time: str | None = None,
    id: str | None = None,
    fill: Fill | None = None,
    at_least: int = 1,
) -> Reading:
    """Read the series of a CSV or Parquet file.

    Args:
        path: the file, or a pipe.
        column: the column of values; by default `y`, or the only one.
        time: the column of times, which must be evenly spaced; by default `ds`. Without times, the rows are assumed to
            be evenly spaced.
        id: the column that names the series of each row; by default `unique_id`. Without it, the file is one series.
        fill: the values that close gaps. Without it, a gap is an error.
        at_least: the fewest points that a series may have.

    Raises:
        SeriesError: the file, a row of it or the choice of columns is not usable.
    """
    table = read_table(path)
    columns = choose(table, column, time, id)
    value_N = numbers(table, columns.value)
    time_N = None if columns.time is None else times(table, columns.time)
    values: dict[str, Floats] = {}
    steps: dict[str, str] = {}
    filled: dict[str, int] = {}
    for name, row_T in _series(table, columns):
        rows = Rows(table, columns, name, row_T)
        if time_N is not None:
            rows = rows.in_order(time_N)
        grid = rows.grid(time_N)
        values[name] = rows.values(value_N, grid, fill, at_least)
        steps[name] = grid.step if time_N is not None else ""
        filled[name] = len(values[name]) - int(np.count_nonzero(~np.isnan(value_N[row_T])))
    return Reading(values, [*_unused(columns), *_frequencies(steps), *_filled(filled, fill)])


def _series(table: Table, columns: Columns) -> Iterator[tuple[str, Integers]]:
    """Yield the name of each series and its rows, in the order of the file."""
    every = pl.int_range(table.frame.height, eager=True).alias("row")
    if columns.id is None:
        yield columns.value, every.to_numpy()
        return
    if not len(every):
        raise SeriesError(f"{table.path}: there are no rows")
    named = pl.DataFrame([ids(table, columns.id).alias("id"), every]).group_by("id", maintain_order=True).agg("row")
    for name, row in named.iter_rows():
        yield name, np.array(row)


def _unused(columns: Columns) -> Iterator[str]:
    if columns.unused:
        yield f"columns that are not used: {', '.join(map(repr, columns.unused))}"


def _frequencies(steps: dict[str, str]) -> Iterator[str]:
    """Yield a sentence if the series of the file have different frequencies."""
    example = {step: name for name, step in reversed(steps.items()) if step}
    if len(example) > 1:
        count = Counter(steps.values())
        each = ", ".join(f"{step} ({count[step]} series, like {name!r})" for step, name in example.items())
        yield f"the series have different frequencies, and a step means another time in each: {each}"


def _filled(filled: dict[str, int], how: Fill | None) -> Iterator[str]:
    total, series = sum(filled.values()), sum(map(bool, filled.values()))
    if total:
        yield f"filled {total} missing value{'s'[: total != 1]} of {series} series ({how})"
