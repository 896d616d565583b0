"""The columns of a table: those that are used, and those that are not.

A column of dates or of names of series that nobody asked for is an error. Without it, rows could be learned in the
wrong order, or several series as one.
"""

from dataclasses import dataclass

import polars as pl

from model.series.table import SeriesError, Table
from model.series.times import is_date
from model.series.values import TEXT
from sine_client.columns import DS, LIKE_DATES, SAMPLE, UNIQUE_ID, counts, named_like_ids, named_like_times


@dataclass(frozen=True)
class Columns:
    """Names of columns."""

    value: str
    time: str | None
    id: str | None
    unused: list[str]

    @property
    def time_written(self) -> str:
        """Return the name of the times in a table that is written."""
        return self.time or DS

    @property
    def id_written(self) -> str:
        """Return the name of the ids in a table that is written."""
        return self.id or UNIQUE_ID


def choose(table: Table, value: str | None = None, time: str | None = None, id: str | None = None) -> Columns:
    """Return the columns to use: those that are named, and otherwise `y`, `ds` and `unique_id`, or the only column.

    Raises:
        SeriesError: a named column does not exist, the column of values is not clear, or a column that is not used
            looks like times or like names of series.
    """
    names = table.frame.columns
    named = [name for name in (value, time, id) if name is not None]
    for name in named:
        if name not in names:
            raise SeriesError(f"{table.path}: there is no column {name!r}, only {_listed(names)}")
    if len(set(named)) < len(named):
        raise SeriesError(f"{table.path}: --column, --time and --id must name different columns")
    id = _default(id, UNIQUE_ID, names, named)
    time = _default(time, DS, names, named)
    others = [name for name in names if name not in (time, id)]
    if value is None and "y" not in others and len(others) != 1:
        raise SeriesError(f"{table.path}: choose the column of values with --column; there are {_listed(others)}")
    value = value or ("y" if "y" in others else others[0])
    unused = [name for name in others if name != value]
    _refuse_ignored(table, time, id, unused)
    return Columns(value, time, id, unused)


def _default(chosen: str | None, usual: str, names: list[str], taken: list[str]) -> str | None:
    return chosen if chosen is not None else usual if usual in names and usual not in taken else None


def _refuse_ignored(table: Table, time: str | None, id: str | None, unused: list[str]) -> None:
    """Raise if a column that is not used would order the rows or part them into series."""
    for name in unused:
        column = table.frame[name]
        if time is None and _holds_times(column):
            raise _ignored(table, name, "times", "--time")
        if id is None and _holds_ids(column, ordered=time is not None):
            raise _ignored(table, name, "names of series", "--id")


def _ignored(table: Table, name: str, kind: str, option: str) -> SeriesError:
    return SeriesError(
        f"{table.path}: the column {name!r} looks like {kind} and is not used: "
        f"add {option} {name if name.isidentifier() else repr(name)}, or remove the column from the file"
    )


def _holds_times(column: pl.Series) -> bool:
    """Return whether the column looks like times: by its type, its name, its texts, or as a count in another order."""
    if column.dtype.is_temporal() or named_like_times(column.name):
        return True
    if column.dtype not in TEXT:
        return column.dtype.is_numeric() and _counts(column)
    texts = column.cast(pl.String).str.strip_chars()
    given = texts.drop_nulls().head(SAMPLE)
    dates = is_date(given) | given.str.contains(LIKE_DATES)
    return _counts(texts) or (len(given) > 0 and bool(dates.all()))


def _counts(column: pl.Series) -> bool:
    """Return whether the column has evenly spaced numbers in another order than that of the rows."""
    return counts(column.cast(pl.Float64, strict=False).to_numpy())


def _holds_ids(column: pl.Series, ordered: bool) -> bool:
    """Return whether the column looks like names of series: several, each in several rows.

    If times order the rows, only the name of the column counts, because its texts may be weekdays.
    """
    if column.dtype.is_nested() or not 1 < column.n_unique() < len(column):
        return False
    return named_like_ids(column.name) or (column.dtype in TEXT and not ordered and _words(column))


def _words(column: pl.Series) -> bool:
    """Return whether the texts are no numbers."""
    texts = column.cast(pl.String).str.strip_chars().drop_nulls()
    return len(texts) > 0 and texts.cast(pl.Float64, strict=False).null_count() == len(texts)


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names)) or "none"
