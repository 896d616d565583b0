"""Reads series from a CSV or Parquet file. Errors about unusable data name the file and the row.

    y                 one column of numbers, with a header or without
    ds,y              one series with its times
    unique_id,ds,y    many series in long form, as statsforecast and others write them

Rows of a CSV file are counted as in an editor, from 1 with the header. Rows of a Parquet file are counted from 1.
"""

import csv
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.exceptions import PolarsError

Floats = npt.NDArray[np.float64]

ID, ROW = "unique_id", "__row__"
LARGEST_VALUE = 1e6  # the service accepts no larger magnitude


class SeriesError(ValueError):
    """The file cannot be trained on. The message names the file and the row, and says what is allowed."""


def read_series(path: Path, column: str | None = None, time: str | None = None, at_least: int = 1) -> dict[str, Floats]:
    """Return the values of each series in order of time, by its id, or by its column if the file has no ids.

    Args:
        path: the file.
        column: the column of values; by default `y`, or the only one.
        time: the column of times, which must be evenly spaced; by default `ds`. Without times, the rows are assumed to
            be evenly spaced.
        at_least: the fewest points that a series may have.

    Raises:
        SeriesError: the file, a row of it or the choice of columns is not usable.
    """
    frame = _read(path)
    time = _chosen(path, frame, time) if time else "ds" if "ds" in frame.columns else None
    others = [name for name in frame.columns if name not in (ROW, ID, time)]
    if column is None and "y" not in others and len(others) != 1:
        raise SeriesError(f"{path}: choose the column of values with --column; there are {_names(others)}")
    column = _chosen(path, frame, column or ("y" if "y" in others else others[0]))

    frame = frame.with_columns(_numbers(path, frame, column))
    if time is not None:
        frame = frame.with_columns(_positions(path, frame, time))
    if ID not in frame.columns:
        return {column: _one(path, frame, column, time, at_least, "")}
    if frame[ID].null_count():
        raise _bad(path, frame, frame[ID].is_null(), f"{ID} is empty; every row needs one")
    return {
        str(name): _one(path, part, column, time, at_least, f" of series {name!r}")
        for (name,), part in frame.partition_by(ID, maintain_order=True, as_dict=True).items()
    }


def _read(path: Path) -> pl.DataFrame:
    """Return the table with an added column ROW. All columns of a CSV file are text."""
    try:
        if path.suffix in (".parquet", ".pq"):
            frame, first = pl.read_parquet(path), 1
        else:
            header = _has_header(path)
            frame, first = pl.read_csv(path, infer_schema=False, has_header=header), 1 + header
            if not header and frame.width > 1:
                raise SeriesError(f"{path}, row 1: a file of several columns has to begin with their names")
    except (OSError, PolarsError) as error:
        raise SeriesError(f"{path}{_ragged(path)}: cannot be read: {str(error).splitlines()[0]}") from error
    frame = frame.with_columns(pl.int_range(first, first + frame.height, dtype=pl.Int64).alias(ROW))
    # Some programs end a file with empty lines. Anywhere else, empty lines are missing values.
    filled = frame.filter(~pl.all_horizontal(pl.exclude(ROW).is_null()))
    return frame.filter(pl.col(ROW) <= (filled[ROW].max() if filled.height else 0))


def _has_header(path: Path) -> bool:
    head = pl.read_csv(path, infer_schema=False, has_header=False, n_rows=1)
    return any(head[name].cast(pl.Float64, strict=False).null_count() for name in head.columns)


def _ragged(path: Path) -> str:
    """Return the first row of a CSV file that has more fields than row 1, as text. Decimal commas look like this."""
    try:
        rows = list(csv.reader(io.StringIO(path.read_text("utf-8-sig"))))
    except (OSError, UnicodeDecodeError, csv.Error):
        return ""
    return next((f", row {number}" for number, row in enumerate(rows, 1) if len(row) > len(rows[0])), "")


def _chosen(path: Path, frame: pl.DataFrame, name: str) -> str:
    if name not in frame.columns:
        raise SeriesError(f"{path}: there is no column {name!r}, only {_names(frame.columns)}")
    return name


def _names(columns: list[str]) -> str:
    return ", ".join(repr(name) for name in columns if name != ROW) or "none"


def _numbers(path: Path, frame: pl.DataFrame, column: str) -> pl.Series:
    """Return the values as finite numbers."""
    given = frame[column]
    text = given.str.strip_chars() if given.dtype == pl.String else given
    values = text.cast(pl.Float64, strict=False)
    allowed = f"a finite number of at most {LARGEST_VALUE:,.0f} in size is needed"
    usable = values.is_finite() & (values.abs() <= LARGEST_VALUE)
    return _all(path, frame, column, usable, values, allowed)


def _positions(path: Path, frame: pl.DataFrame, time: str) -> pl.Series:
    """Return the times as numbers: unchanged, or in months if there is one date a month, or in seconds."""
    given = frame[time]
    numbers = given.cast(pl.Float64, strict=False) if given.dtype == pl.String or given.dtype.is_numeric() else None
    if numbers is not None and numbers.null_count() < len(numbers):
        return _all(path, frame, time, numbers.is_finite(), numbers, "a number is needed, like the other times")
    allowed = "a date or a date and time is needed, like 2026-01-31 or 2026-01-31 12:00"
    try:
        dates = given.str.to_datetime(strict=False) if given.dtype == pl.String else given.cast(pl.Datetime("us"))
    except PolarsError:  # no format fits even one of them
        dates = pl.Series([None] * len(given), dtype=pl.Datetime("us"))
    dates = _all(path, frame, time, dates.is_not_null(), dates, allowed).alias(time)
    midnight = dates.dt.truncate("1d")
    same_day = dates.dt.day().n_unique() == 1 or (midnight == midnight.dt.month_end()).all()
    if same_day and dates.dt.time().n_unique() == 1:  # months and years differ in length, but count as evenly spaced
        return (dates.dt.year() * 12 + dates.dt.month()).cast(pl.Float64).alias(time)
    return (dates.dt.epoch("us") / 1e6).alias(time)


def _all(path: Path, frame: pl.DataFrame, column: str, usable: pl.Series, parsed: pl.Series, allowed: str) -> pl.Series:
    """Return `parsed` if every row of `frame` is usable."""
    bad = ~usable.fill_null(False)
    if bad.any():
        cell = frame[column].filter(bad)[0]
        raise _bad(path, frame, bad, f"{column} is {_shown(cell)}; {allowed}")
    return parsed.alias(column)


def _shown(cell: object) -> str:
    return "missing" if cell is None else repr(cell)


def _bad(path: Path, frame: pl.DataFrame, bad: pl.Series, why: str) -> SeriesError:
    return SeriesError(f"{path}, row {frame[ROW].filter(bad)[0]}: {why}")


def _one(path: Path, part: pl.DataFrame, column: str, time: str | None, at_least: int, whose: str) -> Floats:
    """Return the values of one series and check that its times are evenly spaced."""
    if part.height < at_least:
        last = f", row {part[ROW][-1]}" if part.height else ""
        raise SeriesError(f"{path}{last}: too few points{whose}: {part.height}, and at least {at_least} are needed")
    if time is not None:
        part = part.sort(time, ROW)
        apart_T, row_T = np.diff(part[time].to_numpy()), part[ROW].to_numpy()
        if np.any(apart_T == 0):
            first = int(np.argmax(apart_T == 0))
            raise SeriesError(f"{path}, row {row_T[first + 1]}: the same time{whose} as in row {row_T[first]}")
        step = np.median(apart_T) if len(apart_T) else 0.0
        uneven_T = np.abs(apart_T - step) > 1e-6 * step
        if np.any(uneven_T):
            first = int(np.argmax(uneven_T))
            raise SeriesError(
                f"{path}, row {row_T[first + 1]}: {apart_T[first] / step:.4g} steps{whose} after row {row_T[first]}; "
                f"times have to be evenly spaced: fill the gaps, or leave out the column of times"
            )
    return part[column].to_numpy().astype(np.float64)
