"""Tables of series as CSV, for the command `sine forecast`: long form in, forecasts out.

Nothing but Python's own csv module is needed. A table of many thousands of series is better read by pandas or polars.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import numpy as np

from sine_client.messages import ForecastResponse
from sine_client.starts import Time
from sine_client.table import Rows, TimeColumn, column_of_texts, series_of
from sine_client.values import number, whole


def read_csv(
    lines: Iterable[str], name: str, freq: Time | None, id_col: str, time_col: str, target_col: str
) -> list[Rows]:
    """Return the series of a CSV file whose first row has the names of its columns.

    Raises ValueError for a missing column, a cell that is no number, and series that cannot be forecast. The message
    begins with `name`.
    """
    reader = csv.DictReader(lines, strict=True)
    columns = list(reader.fieldnames or ())
    if target_col not in columns:
        found = ", ".join(map(repr, columns)) or "none"
        raise ValueError(f"{name}, row 1: there is no column {target_col!r}, only {found}; --column names another one")
    ids: list[str | int] = []
    texts: list[str] = []
    values: list[float] = []
    try:
        for row in reader:
            place = f"{name}, row {reader.line_num}"
            ids.append(row[id_col] if id_col in columns else target_col)
            texts.append(row[time_col] if time_col in columns else "")
            try:
                values.append(number((row[target_col] or "").strip()))
            except ValueError as error:
                raise ValueError(f"{place}: {target_col}: {error}") from None
            if None in row or None in row.values():
                raise ValueError(f"{place}: there are {len(columns)} columns, and not in this row")
    except csv.Error as error:
        raise ValueError(f"{name}, row {reader.line_num}: {error}") from None
    if not values:
        raise ValueError(f"{name}: there are no rows in it")
    try:
        times = _times(texts) if time_col in columns else None
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


def csv_rows(responses: Sequence[ForecastResponse], id_col: str, time_col: str) -> Iterator[list[object]]:
    """Yield the rows of the table of forecasts, its header first."""
    ends = list(responses[0].forecasts[0].intervals or {})
    name = responses[0].model
    yield [id_col, time_col, name, *(f"{name}-{end}" for end in ends)]
    for response in responses:
        for forecast in response.forecasts:
            bounds = [(forecast.intervals or {})[end] for end in ends]
            for time, *numbers in zip(forecast.ds, forecast.values, *bounds, strict=True):
                yield [forecast.unique_id, time, *numbers]
