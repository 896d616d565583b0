"""How a file writes times, so that forecasts are written in the same way."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from model.series.columns import Columns
from model.series.table import MISSING, PARQUET, Table, table_of, type_of
from model.series.times import has_offset
from model.series.values import TEXT, text_of
from sine_client.frequency import Floats, Integers, Times

_CLOCK = r"\d[T ]+\d{1,2}:"  # a time of day after a date; an offset from UTC may have a colon too


@dataclass(frozen=True)
class TimeForm:
    """The type of a column of times."""

    kind: Literal["number", "date", "datetime", "offset"]
    """`offset` stands for texts that end with an offset from UTC."""

    dtype: pl.DataType
    """The type of a column of times that are written."""

    zone: ZoneInfo | None = None
    """The time zone of the column, if its type names one."""

    text: str = ""
    """The form of dates and times that are texts, without an offset."""

    @property
    def family(self) -> str:
        """The kind of the times, for people. Times of one kind can be written in one form."""
        return {"number": "numbers", "offset": "dates with an offset from UTC"}.get(
            self.kind, "dates without an offset"
        )

    def written(self, at_N: Integers | Floats, last: Times, each: int) -> pl.Series:
        """Return a column of times [N]; `each` of them, one after the other, follow each of the times `last`."""
        if self.kind == "number":
            return pl.Series(at_N).cast(self.dtype)
        if self.kind == "date":
            return pl.Series(at_N).cast(pl.Datetime(_unit(last.unit))).cast(pl.Date).cast(self.dtype)
        if self.kind == "datetime":
            times = pl.Series(at_N).cast(pl.Datetime(_unit(last.unit)))
            return times.dt.strftime(self.text) if self.text else times.cast(self.dtype)
        assert last.wall_N is not None  # noqa: S101 - texts with an offset are dates
        offset_N = np.repeat(last.wall_N - last.at_N, each)
        wall = pl.Series(at_N + offset_N).cast(pl.Datetime(_unit(last.unit)))
        minutes = pl.Series(offset_N).cast(pl.Duration(_unit(last.unit))).dt.total_minutes()
        parts = pl.DataFrame({"wall": wall.dt.strftime(self.text), "minutes": minutes})
        size = pl.col("minutes").abs()
        return parts.select(
            pl.format(
                "{}{}{}:{}",
                "wall",
                pl.when(pl.col("minutes") < 0).then(pl.lit("-")).otherwise(pl.lit("+")),
                (size // 60).cast(pl.String).str.zfill(2),
                (size % 60).cast(pl.String).str.zfill(2),
            )
        ).to_series()


def form_of_times(table: Table, columns: Columns) -> TimeForm:
    """Return the form of a table's times. Without times, the values are counted."""
    if columns.time is None:
        return TimeForm("number", pl.Int64())
    return _form_of(table.frame[columns.time])


def form_of_file(content: bytes, table: Table, name: str, starts: Sequence[int]) -> TimeForm | None:
    """Return the form in which all texts of a column of times can be written, or None if they have no common one.

    Args:
        content: the bytes of the file.
        table: the whole file. It may lack columns of a Parquet file, which are read here.
        name: the column. Without such a column, or if it holds no texts, the form is None too.
        starts: the first row of each block, and the number of all rows. A block at a time needs less memory.
    """
    if table.lines is None and name not in table.frame.columns:
        if content.startswith(PARQUET) and type_of(content, name) not in TEXT:
            return None
        table = table_of(table.path, content, name)
    if name not in table.frame.columns or table.frame[name].dtype not in TEXT:
        return None
    column = table.frame[name]
    forms = [_form_of(column.slice(first, end - first)) for first, end in pairwise(starts)]
    if len({form.family for form in forms}) > 1:
        return None
    if forms[0].kind == "number":
        return next((form for form in forms if form.dtype == pl.Float64), forms[0])
    return max(forms, key=lambda form: len(form.text))  # dates have no form, and fractions have the longest


def _form_of(column: pl.Series) -> TimeForm:
    column = text_of(column)
    dtype = column.dtype
    if dtype == pl.Date:
        return TimeForm("date", dtype)
    if isinstance(dtype, pl.Datetime):
        return TimeForm("datetime", dtype, ZoneInfo(dtype.time_zone) if dtype.time_zone else None)
    if dtype != pl.String:
        return TimeForm("number", dtype)
    texts = column.filter(~column.is_in(MISSING))
    if texts.cast(pl.Float64, strict=False).null_count() == 0:
        whole = texts.cast(pl.Int64, strict=False).null_count() == 0
        return TimeForm("number", pl.Int64() if whole else pl.Float64())
    clocks = texts.str.contains(_CLOCK)
    timed = bool(clocks.any())
    example = texts.filter(clocks)[0] if timed else texts[0]
    date = "%Y-%m-%d"
    if timed:
        fraction = "%.f" if texts.str.contains(r":\d{2}[.,]\d").any() else ""
        date += f"{'T' if re.search(r'[0-9]T', example) else ' '}%H:%M:%S{fraction}"
    if has_offset(example):
        return TimeForm("offset", pl.String(), text=date)
    return TimeForm("datetime", pl.String(), text=date) if timed else TimeForm("date", pl.String())


def _unit(unit: str) -> Literal["ms", "us", "ns"]:
    """Return a unit of `Times` as polars has it."""
    return "ms" if unit == "ms" else "ns" if unit == "ns" else "us"
