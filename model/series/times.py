"""Columns of times, as whole numbers: on one scale for all of the world, and on the clock on the wall.

Whole numbers have exact differences. The same time in seconds, as a float, is rounded by up to 0.1 µs.
"""

import re
from typing import Literal

import numpy as np
import polars as pl

from model.series.table import MISSING, Table
from model.series.values import text_of, wrong_type
from sine_client.frequency import DOUBLE, Times
from sine_client.stamps import FILE_DATE

_DATE_ALLOWED = "a date or a date and time is needed, like 2026-01-31 or 2026-01-31 12:00"
_NUMBER_ALLOWED = "a number is needed, like the other times"


def times(table: Table, name: str) -> Times:
    """Return a column of times.

    Raises:
        SeriesError: the column's type holds neither numbers nor dates, or a row has none.
    """
    column = text_of(table.frame[name])
    if column.dtype == pl.String:
        column = column.set(column.is_in(MISSING), None)
        counted = column.cast(pl.Int64, strict=False)
        measured = column.cast(pl.Float64, strict=False)
        if measured.count() < column.count() / 2:
            return _from_text(table, name, column)
        column = _complete(
            table, name, counted if counted.null_count() == measured.null_count() else measured, _NUMBER_ALLOWED
        )
    if column.dtype == pl.Date:
        column = column.cast(pl.Datetime("ms"))
    if isinstance(dtype := column.dtype, pl.Datetime):
        column = _complete(table, name, column, _DATE_ALLOWED)
        at_N, wall_N = column.to_physical(), column.dt.replace_time_zone(None).to_physical()
        return Times(at_N.to_numpy(), wall_N.to_numpy(), dtype.time_unit, zoned=dtype.time_zone is not None)
    if not column.dtype.is_numeric():
        raise wrong_type(table, name, "dates or numbers")
    column = _complete(table, name, column, _NUMBER_ALLOWED)
    if column.dtype.is_integer():
        return Times(_complete(table, name, column.cast(pl.Int64, strict=False), _NUMBER_ALLOWED).to_numpy())
    precision = float(np.finfo(np.float32).eps) if column.dtype == pl.Float32 else DOUBLE
    at = column.cast(pl.Float64)
    finite = _complete(table, name, at.set(~at.is_finite(), None), _NUMBER_ALLOWED)
    return Times(finite.to_numpy(), precision=precision)


def is_date(texts: pl.Series) -> pl.Series:
    """Return whether each text has the form of a date that `times` reads."""
    return texts.str.contains(FILE_DATE).fill_null(False)


def has_offset(text: str) -> bool:
    """Return whether a text that `times` reads ends with its offset from UTC."""
    match = re.match(FILE_DATE, text)
    return match is not None and match[8] is not None


def form_of(times: Times) -> str | None:
    """Return the form that dates need, if `times` are numbers like 202601 or 20260131."""
    if times.at_N.dtype != np.int64 or times.wall_N is not None:
        return None
    for form, month_N in (("2026-01", times.at_N), ("2026-01-31", times.at_N // 100)):
        year_N = month_N // 100
        if np.all((year_N >= 1800) & (year_N < 2200) & (month_N % 100 >= 1) & (month_N % 100 <= 12)):
            return form
    return None


def _from_text(table: Table, name: str, texts: pl.Series) -> Times:
    """Return dates that are texts. Each row is read by the same rule, so no row decides how others are read."""
    fields = ["year", "month", "day", "hour", "minute", "second", "fraction", "offset"]
    part = texts.str.extract_groups(FILE_DATE).struct.rename_fields(fields).struct.unnest()
    unit: Literal["us", "ns"] = "ns" if (part["fraction"].str.len_chars() > 6).any() else "us"
    part = part.select(
        pl.col("year", "month"),
        pl.col("day").fill_null("1"),
        pl.col("hour", "minute", "second", "fraction").fill_null("0"),
        pl.col("offset").replace({"Z": "+0000", "UTC": "+0000"}).str.replace(":", "").str.pad_end(5, "0"),
    )
    clock = part.select(pl.format("{}-{}-{} {}:{}:{}.{}", *fields[:-1])).to_series()
    form = "%Y-%m-%d %H:%M:%S%.f"
    wall = _complete(table, name, clock.str.strptime(pl.Datetime(unit), form, strict=False), _DATE_ALLOWED)
    offset = part["offset"]
    if offset.null_count() == len(offset):
        return Times(wall.to_physical().to_numpy(), wall.to_physical().to_numpy(), unit)
    if offset.null_count():
        index = int(offset.is_null().arg_true()[0])
        raise table.error(index, f"{name} is {texts[index]!r}, without an offset from UTC, which other times have")
    at = (clock + offset).str.strptime(pl.Datetime(unit, "UTC"), form + "%z", strict=False)
    return Times(
        _complete(table, name, at, _DATE_ALLOWED).to_physical().to_numpy(), wall.to_physical().to_numpy(), unit
    )


def _complete(table: Table, name: str, parsed: pl.Series, allowed: str) -> pl.Series:
    """Return `parsed`, in which no row may be missing."""
    if parsed.null_count():
        index = int(parsed.is_null().arg_true()[0])
        raise table.error(index, f"{name} is {table.shown(name, index)}; {allowed}")
    return parsed
