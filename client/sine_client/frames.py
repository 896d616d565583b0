"""DataFrames of pandas, polars and others in and out, by narwhals.

The forecasts have the columns of the table that was given, in their types: `unique_id`, `ds`, then the model's name and
the ends of its intervals, such as `any-lo-95`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np

from sine_client.columns import DS, UNIQUE_ID, Asked, choose, refuse_ignored
from sine_client.messages import ForecastResponse, SeriesForecast
from sine_client.starts import Time
from sine_client.table import Rows, TimeColumn, column_of_dates, column_of_texts, series_of


@dataclass(frozen=True)
class Given:
    """A table of series, and the names of its columns."""

    frame: nw.DataFrame[Any]
    id_col: str
    time_col: str
    times: TimeColumn | None
    rows: list[Rows]


_ASKED = Asked("id_col", "time_col", "=")


def read_frame(df: Any, freq: Time | None, id_col: str | None, time_col: str | None, target_col: str) -> Given:
    """Return the series of a DataFrame in long form.

    A DataFrame that has no column of ids is one series with the name of the column of values. Raises ValueError for
    columns that do not exist or have the wrong type, for times or ids that would be ignored, and for series that cannot
    be forecast; TypeError for what is no DataFrame.
    """
    frame = nw.from_native(df, eager_only=True)
    if target_col not in frame.columns:
        raise ValueError(f"there is no column {target_col!r}, only {', '.join(map(repr, frame.columns))}")
    _refuse_index(frame, id_col or UNIQUE_ID, time_col or DS)
    used = choose(frame.columns, id_col, time_col, target_col, _ASKED)
    if not len(frame):
        raise ValueError("the table has no rows")
    column = frame[target_col]
    if not column.dtype.is_numeric():
        raise ValueError(f"the column {target_col!r} has the type {column.dtype}; numbers are needed")
    y_N = column.cast(nw.Float64).to_numpy().astype(np.float64)
    ids: Sequence[str | int] = [target_col] * len(frame)
    if used.id is not None:
        ids = frame[used.id].to_list()
        if not all(isinstance(name, str | int) and not isinstance(name, bool) for name in ids):
            raise ValueError(f"the column {used.id!r} needs a text or a whole number in each row")
    if used.id is None or used.time is None:
        for name in used.unused:
            refuse_ignored(used, name, frame[name].to_list(), _ASKED)
    times = None if used.time is None else _times(frame[used.time])
    if times is None and freq is not None:
        raise ValueError(f"there is no column {DS!r}, so freq has no use")
    return Given(frame, used.id or UNIQUE_ID, used.time or DS, times, list(series_of(ids, y_N, times, freq)))


def _refuse_index(frame: nw.DataFrame[Any], id_col: str, time_col: str) -> None:
    """Raise ValueError if the index of a frame of pandas may hold the times or the ids that its columns lack."""
    index: Any = nw.maybe_get_index(frame)
    if index is None or (time_col in frame.columns and (id_col in frame.columns or index.is_unique)):
        return
    if index.inferred_type != "integer" or any(name is not None for name in index.names):
        raise ValueError(
            "the index of the table is not used, and may hold its times or ids: reset_index() makes columns of it, "
            "and reset_index(drop=True) removes it"
        )


def _times(column: nw.Series[Any]) -> TimeColumn:
    """Return a column of times. Raises ValueError if its type holds no times, or a row has none."""
    dtype = column.dtype
    if column.null_count():
        raise ValueError(f"the column {column.name!r} has a row without a time")
    if dtype == nw.Date or isinstance(dtype, nw.Datetime):
        zone = dtype.time_zone if isinstance(dtype, nw.Datetime) else None
        if isinstance(dtype, nw.Datetime) and dtype.time_unit == "ns" and (column.dt.timestamp("ns") % 1000 != 0).any():
            raise ValueError(f"the column {column.name!r} has times with nanoseconds; microseconds are needed")
        at_N = column.cast(nw.Datetime("us")).dt.timestamp("us") if dtype == nw.Date else column.dt.timestamp("us")
        return column_of_dates(at_N.to_numpy().astype(np.int64), zone, dtype == nw.Date)
    if dtype.is_integer():
        if int(column.max()) >= 2**63:
            raise ValueError(f"the column {column.name!r} has times above 2^63 - 1")
        return TimeColumn("number", column.to_numpy().astype(np.int64))
    if dtype.is_float():
        precision = np.finfo(np.float32 if dtype == nw.Float32 else np.float64).eps
        return TimeColumn("number", column.to_numpy().astype(np.float64), precision=float(precision))
    texts = column.to_list()
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"the column {column.name!r} has the type {dtype}; dates, texts or numbers are needed")
    return column_of_texts(texts)


def write_frame(given: Given, responses: Sequence[ForecastResponse]) -> Any:
    """Return the forecasts as a DataFrame of the kind that was given."""
    forecasts = [forecast for response in responses for forecast in response.forecasts]
    backend, name = given.frame.implementation, responses[0].model
    repeated = [forecast.unique_id for forecast in forecasts for _ in forecast.values]
    ids = nw.new_series(given.id_col, repeated, backend=backend)
    if given.id_col in given.frame.columns:
        ids = ids.cast(given.frame.schema[given.id_col])
    columns = [ids, _written(given, forecasts)]
    columns.append(_numbers(name, [forecast.values for forecast in forecasts], backend))
    for end in forecasts[0].intervals or {}:
        values = [(forecast.intervals or {})[end] for forecast in forecasts]
        columns.append(_numbers(f"{name}-{end}", values, backend))
    return nw.concat([column.to_frame() for column in columns], how="horizontal").to_native()


def _numbers(name: str, parts: Sequence[Sequence[float]], backend: Any) -> nw.Series[Any]:
    return nw.new_series(name, np.concatenate([np.array(part) for part in parts]), backend=backend)


def _written(given: Given, forecasts: Sequence[SeriesForecast]) -> nw.Series[Any]:
    """Return the column of times, in the type of the one that was given."""
    backend, name, times = given.frame.implementation, given.time_col, given.times
    found: list[Any] = [time for forecast in forecasts for time in forecast.ds]
    if times is None:
        return nw.new_series(name, found, nw.Int64, backend=backend)
    dtype = given.frame.schema[name]
    if times.kind == "number":
        if dtype.is_integer() and max(found) > np.iinfo(given.frame[name].to_numpy().dtype).max:  # pandas would wrap
            raise ValueError(f"the column {name!r} has the type {dtype}, which cannot hold the times of the forecasts")
        return nw.new_series(name, found, backend=backend).cast(dtype)
    if not (dtype == nw.Date or isinstance(dtype, nw.Datetime)):  # texts stay texts
        spaced = " " in str(given.frame[name][0]).strip()
        return nw.new_series(name, [text.replace("T", " ") for text in found] if spaced else found, backend=backend)
    if times.zone is None:
        return nw.new_series(name, np.array(found, "datetime64[us]"), backend=backend).cast(dtype)
    at_N = np.array([text[:-6] for text in found], "datetime64[us]") - _offsets(found)
    column = nw.new_series(name, at_N, backend=backend).dt.replace_time_zone("UTC")
    return column.dt.convert_time_zone(times.zone.key).cast(dtype)


def _offsets(texts: Sequence[str]) -> Any:
    """Return the offsets from UTC that texts end with, such as +01:00."""
    minutes = {
        text: (int(text[1:3]) * 60 + int(text[4:])) * (-1 if text[0] == "-" else 1) for text in {t[-6:] for t in texts}
    }
    return np.array([minutes[text[-6:]] for text in texts], "timedelta64[m]")
