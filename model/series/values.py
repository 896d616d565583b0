"""Columns of numbers and of names of series. Types are checked before values."""

import math

import numpy as np
import numpy.typing as npt
import polars as pl

from model.limits import LARGEST_VALUE
from model.series.table import MISSING, SeriesError, Table

Floats = npt.NDArray[np.float64]

TEXT = (pl.String, pl.Categorical, pl.Enum)
ALLOWED = f"a finite number of at most {LARGEST_VALUE:g} in size is needed"


def numbers(table: Table, name: str) -> Floats:
    """Return a column as numbers [N]. Missing ones are NaN.

    Raises:
        SeriesError: the column's type holds no numbers, or a value is text, infinite or larger than `LARGEST_VALUE`.
    """
    column = text_of(table.frame[name])
    if column.dtype != pl.String and not column.dtype.is_numeric():
        raise wrong_type(table, name, "numbers")
    if column.dtype == pl.String:
        column = column.set(column.is_in(MISSING), None)
    elif column.dtype.is_float():
        column = column.fill_nan(None)
    value = column.cast(pl.Float64, strict=False)
    bad = column.is_not_null() & ~(value.abs() <= LARGEST_VALUE).fill_null(False)
    if bad.any():
        index = int(bad.arg_true()[0])
        raise table.error(index, f"{name} is {table.shown(name, index)}; {ALLOWED}")
    return value.fill_null(math.nan).to_numpy()


def ids(table: Table, name: str) -> pl.Series:
    """Return a column of names of series as text [N].

    Raises:
        SeriesError: the column's type holds neither text nor whole numbers, or a row has no name.
    """
    column = table.frame[name]
    if column.dtype not in TEXT and not column.dtype.is_integer():
        raise wrong_type(table, name, "text or whole numbers")
    column = column.cast(pl.String)
    missing = column.is_null() | (column.str.strip_chars() == "")
    if missing.any():
        raise table.error(int(missing.arg_true()[0]), f"{name} is empty; every row needs one")
    return column


def text_of(column: pl.Series) -> pl.Series:
    """Return categories as texts, and texts without the space around them; empty ones are null. Others stay."""
    if column.dtype not in TEXT:
        return column
    texts = column.cast(pl.String).str.strip_chars()
    return texts.set(texts == "", None)


def wrong_type(table: Table, name: str, needed: str) -> SeriesError:
    """Return the error about a column whose type cannot hold what is needed."""
    return SeriesError(f"{table.path}: the column {name!r} has the type {table.frame[name].dtype}; {needed} are needed")
