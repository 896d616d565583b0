"""Tables of series as CSV, for the command `sine forecast`: long form in, forecasts out.

Nothing but Python's own csv module is needed. A table of many thousands of series is better read by pandas or polars.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import numpy as np

from sine_client.columns import DS, UNIQUE_ID, Asked, choose, refuse_ignored
from sine_client.messages import ForecastResponse
from sine_client.starts import Time
from sine_client.table import Rows, TimeColumn, column_of_texts, series_of
from sine_client.values import number, whole

ASKED = Asked("--id", "--time", " ")


def read_csv(
    lines: Iterable[str], name: str, freq: Time | None, id_col: str | None, time_col: str | None, target_col: str
) -> list[Rows]:
    """Return the series of a CSV file whose first row has the names of its columns.

    Raises ValueError for a missing column, for one of times or ids that is not used, for a cell that is no number, and
    for series that cannot be forecast. The message begins with `name`.
    """
    reader = csv.DictReader(lines, strict=True)
    columns = list(reader.fieldnames or ())
    if target_col not in columns:
        found = ", ".join(map(repr, columns)) or "none"
        raise ValueError(f"{name}, row 1: there is no column {target_col!r}, only {found}; --column names another one")
    if twice := next((column for column in columns if column and columns.count(column) > 1), None):
        raise ValueError(f"{name}, row 1: two columns are called {twice!r}")
    try:
        used = choose(columns, id_col, time_col, target_col, ASKED)
    except ValueError as error:
        raise ValueError(f"{name}, row 1: {error}") from None
    cells: dict[str, list[str]] = {column: [] for column in columns}
    values: list[float] = []
    try:
        for row in reader:
            place = f"{name}, row {reader.line_num}"
            try:
                values.append(number((row[target_col] or "").strip()))
            except ValueError as error:
                raise ValueError(f"{place}: {target_col}: {error}") from None
            if None in row or None in row.values():
                raise ValueError(f"{place}: there are {len(columns)} columns, and not in this row")
            for column, cell in row.items():
                cells[column].append(cell)
    except csv.Error as error:
        raise ValueError(f"{name}, row {reader.line_num}: {error}") from None
    if not values:
        raise ValueError(f"{name}: there are no rows in it")
    try:
        for column in used.unused:
            refuse_ignored(used, column, cells[column], ASKED)
        ids: Sequence[str | int] = [target_col] * len(values) if used.id is None else cells[used.id]
        times = None if used.time is None else _times(cells[used.time])
        return list(series_of(ids, np.array(values), times, freq))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _times(texts: Sequence[str]) -> TimeColumn:
    """Return a column of numbers or of dates. Raises ValueError."""
    with suppress(ValueError):
        return TimeColumn("number", np.array([whole(text.strip()) for text in texts], np.int64))
    with suppress(ValueError):
        return TimeColumn("number", np.array([number(text.strip()) for text in texts], np.float64))
    return column_of_texts(texts)


def csv_rows(responses: Sequence[ForecastResponse], id_col: str | None, time_col: str | None) -> Iterator[list[object]]:
    """Yield the rows of the table of forecasts, its header first."""
    ends = list(responses[0].forecasts[0].intervals or {})
    name = responses[0].model
    yield [id_col or UNIQUE_ID, time_col or DS, name, *(f"{name}-{end}" for end in ends)]
    for response in responses:
        for forecast in response.forecasts:
            bounds = [(forecast.intervals or {})[end] for end in ends]
            for time, *numbers in zip(forecast.ds, forecast.values, *bounds, strict=True):
                yield [forecast.unique_id, time, *numbers]
