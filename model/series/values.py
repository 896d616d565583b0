"""Columns of numbers and of names of series. Types are checked before values."""

import math

import numpy as np
import numpy.typing as npt
import polars as pl

from model.series.table import MISSING, SeriesError, Table
from sine_client.limits import LARGEST_VALUE

Floats = npt.NDArray[np.float64]

TEXT = (pl.String, pl.Categorical, pl.Enum)
ALLOWED = f"a finite number of at most {LARGEST_VALUE:g} in size is needed"


def numbers(table: Table, name: str) -> Floats:
    """Return a column as numbers [N]. Missing ones are NaN.

    Raises:
        SeriesError: the column's type holds no numbers, or a value is text, infinite or larger than `LARGEST_VALUE`.
    """
    value_N, bad_N = checked_numbers(table, name)
    if bad_N.any():
        raise bad_value(table, name, int(bad_N.argmax()))
    return value_N


def checked_numbers(table: Table, name: str) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return a column as numbers [N], and whether each cell is text, infinite or larger than `LARGEST_VALUE` [N].

    Missing numbers are NaN, and so are those cells.

    Raises:
        SeriesError: the column's type holds no numbers.
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
        value = value.set(bad, None)
    return value.fill_null(math.nan).to_numpy(), bad.to_numpy()


def bad_value(table: Table, name: str, index: int) -> SeriesError:
    """Return the error about a cell that is no usable number; `index` counts its row from 0."""
    return table.error(index, f"{name} is {table.shown(name, index)}; {ALLOWED}")


def ids(table: Table, name: str) -> pl.Series:
    """Return a column of names of series as text [N].

    Raises:
        SeriesError: the column's type holds neither text nor whole numbers, or a row has no name.
    """
    column = check_ids(table, name)
    if (empty := is_empty(column)).any():
        raise no_id(table, name, int(empty.arg_true()[0]))
    return column.cast(pl.String)


def check_ids(table: Table, name: str) -> pl.Series:
    """Return a column of names of series in its own type [N]. Texts may still be empty.

    Raises:
        SeriesError: the column's type holds neither text nor whole numbers, or a row has none.
    """
    column = table.frame[name]
    if column.dtype not in TEXT and not column.dtype.is_integer():
        raise wrong_type(table, name, "text or whole numbers")
    if column.null_count():
        raise no_id(table, name, int(column.is_null().arg_true()[0]))
    return column


def is_empty(ids: pl.Series) -> pl.Series:
    """Return whether each name of a series is missing, or has no letter."""
    return ids.is_null() | (ids.cast(pl.String).str.strip_chars() == "")


def no_id(table: Table, name: str, index: int) -> SeriesError:
    """Return the error about a row without the name of its series; `index` counts from 0."""
    return table.error(index, f"{name} is empty; every row needs one")


def text_of(column: pl.Series) -> pl.Series:
    """Return categories as texts, and texts without the space around them; empty ones are null. Others stay."""
    if column.dtype not in TEXT:
        return column
    texts = column.cast(pl.String).str.strip_chars()
    return texts.set(texts == "", None)


def wrong_type(table: Table, name: str, needed: str) -> SeriesError:
    """Return the error about a column whose type cannot hold what is needed."""
    return SeriesError(f"{table.path}: the column {name!r} has the type {table.frame[name].dtype}; {needed} are needed")
