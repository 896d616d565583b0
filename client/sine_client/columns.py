"""The columns of a table of series: those that are used, and those that must not be ignored.

A column of times or of names of series that nobody asked for is an error. Without it, values could be taken in the
wrong order, or several series as one.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from sine_client.frequency import Grid, Times, grid_of
from sine_client.values import number

UNIQUE_ID, DS = "unique_id", "ds"
"""The usual names of the column that names series, and of the column of times."""

_TIMES = {"ds", "date", "dates", "datetime", "date_time", "time", "times"}
_TIMES |= {"timestamp", "timestamps", "period", "t", "year"}
_IDS = {"id", "ids", "uid", "uuid", "key", "series", "sku", "item", "product", "store", "shop", "sensor", "meter"}
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
LIKE_DATES = (  # 31.12.26, 12/31/2026, 2026Q1, 2026-W05, 2026 01, 12:30, Jan 2026
    r"(?i)^(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{4}[-/ ]?(w|q|\d{2}$)|.*\d:\d{2}|"
    rf"({_MONTHS})[a-z]*[ .\-/])"
)
"""The pattern of texts that are probably dates."""

SAMPLE = 1000
"""The rows that are looked at to tell whether texts are dates."""


class Columns(NamedTuple):
    """The columns of ids and of times that a table has, and those that it has for nothing."""

    id: str | None
    time: str | None
    unused: list[str]


class Asked(NamedTuple):
    """The way in which a user names a column: `Asked("--id", "--time", " ")`."""

    id: str
    time: str
    sign: str


def choose(names: Sequence[str], id_col: str | None, time_col: str | None, target_col: str, asked: Asked) -> Columns:
    """Return the columns to use: those that are named, and otherwise `unique_id` and `ds`, if the table has them.

    Raises ValueError for a column that is named and does not exist, or is named twice.
    """
    listed = ", ".join(map(repr, names)) or "none"
    for option, name in ((asked.id, id_col), (asked.time, time_col)):
        if name is not None and name not in names:
            raise ValueError(f"there is no column {name!r} for {option}, only {listed}")
    named = [name for name in (id_col, time_col, target_col) if name is not None]
    if len(set(named)) < len(named):
        raise ValueError(f"{asked.id}, {asked.time} and the column of values must be different columns")
    id = id_col or (UNIQUE_ID if UNIQUE_ID in names and UNIQUE_ID not in named else None)
    time = time_col or (DS if DS in names and DS not in named else None)
    return Columns(id, time, [name for name in names if name not in (id, time, target_col)])


def refuse_ignored(columns: Columns, name: str, values: Sequence[object], asked: Asked) -> None:
    """Raise ValueError if an unused column looks like times or ids, and the table has no other column of them."""
    if columns.time is None and _hold_times(name, values):
        raise _ignored(name, "times", asked.time, asked.sign)
    if columns.id is None and _hold_ids(name, values, ordered=columns.time is not None):
        raise _ignored(name, "names of series", asked.id, asked.sign)


def _ignored(name: str, kind: str, option: str, sign: str) -> ValueError:
    shown = name if sign == " " and name.isidentifier() else repr(name)
    return ValueError(
        f"the column {name!r} looks like {kind} and is not used: add {option}{sign}{shown}, or remove the column"
    )


def named_like_times(name: str) -> bool:
    """Return whether a column's name says that it holds times."""
    return name.strip().lower() in _TIMES


def named_like_ids(name: str) -> bool:
    """Return whether a column's name says that it holds names of series."""
    words = re.split(r"[^a-z0-9]+", name.strip().lower())
    return words[-1] in _IDS or name.lower().endswith("id")


def counts(number_N: np.ndarray) -> bool:
    """Return whether numbers are evenly spaced, and in another order than that of the rows."""
    if len(number_N) < 2 or not np.all(np.isfinite(number_N)) or np.all(np.diff(number_N) >= 0):
        return False
    return isinstance(grid := grid_of(Times(np.sort(number_N))), Grid) and not grid.missing


def _hold_times(name: str, values: Sequence[object]) -> bool:
    if named_like_times(name):
        return True
    given = [text for value in values[:SAMPLE] if value is not None and (text := str(value).strip())]
    numeric = any(isinstance(value, int | float) for value in values[:SAMPLE])
    if given and not numeric and all(re.match(LIKE_DATES, text) for text in given):
        return True
    return (numbers := _numbers(values)) is not None and counts(np.array(numbers))


def _hold_ids(name: str, values: Sequence[object], ordered: bool) -> bool:
    """Return whether the column looks like names of series: several, each in several rows.

    If times order the rows, only the name of the column counts, because its texts may be weekdays.
    """
    names = {str(value).strip() for value in values}
    if not 1 < len(names) < len(values):
        return False
    words = all(isinstance(value, str) for value in values) and all(_numbers([text]) is None for text in names if text)
    return named_like_ids(name) or (not ordered and words)


def _numbers(values: Sequence[object]) -> list[float] | None:
    """Return the values as numbers, or None if one of them is none."""
    with suppress(ValueError):
        return [float(value) if isinstance(value, int | float) else number(str(value).strip()) for value in values]
    return None
