"""Tests of `Client.forecast`: DataFrames of pandas and polars, with the numbers and dates of bulk forecasts."""

import asyncio
import re
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sine_client import AsyncClient, Client
from tests.bulk import bulk, table
from tests.server import Server

WAVE = np.sin(2 * np.pi * np.arange(40) / 12)
BERLIN = "Europe/Berlin"
HORIZON = 5


def one_series(times: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"unique_id": ["a"] * len(times), "ds": times, "y": WAVE[: len(times)]})


def steps(start: datetime, step: str, count: int = 20) -> pl.Series:
    return pl.datetime_range(start, start.replace(year=start.year + 10), step, eager=True).head(count)


def in_berlin(times: pl.Series) -> pl.Series:
    return times.dt.replace_time_zone("UTC").dt.convert_time_zone(BERLIN)


EVEN = {
    "month ends": steps(datetime(2023, 1, 1), "1mo").dt.offset_by("-1d").cast(pl.Date),
    "quarter ends": steps(datetime(2020, 4, 1), "1q").dt.offset_by("-1d").cast(pl.Date),
    "28th of months": steps(datetime(2023, 1, 28), "1mo").cast(pl.Date),
    "days to a leap day": steps(datetime(2024, 2, 8), "1d").cast(pl.Date),
    "hours": steps(datetime(2026, 1, 1), "1h"),
    "days of a zone before DST": steps(datetime(2026, 3, 6), "1d").dt.replace_time_zone(BERLIN),
    "weeks of a zone before DST": steps(datetime(2026, 6, 1), "1w").dt.replace_time_zone(BERLIN),
    "days of a zone to DST": steps(datetime(2026, 3, 8), "1d").dt.replace_time_zone(BERLIN),
    "hours of a zone to DST": in_berlin(steps(datetime(2026, 3, 28, 5), "1h")),
    "quarters of an hour of a zone from DST": in_berlin(steps(datetime(2026, 10, 24, 20), "15m")),
    "business days": (days := steps(datetime(2026, 1, 5), "1d", 30)).filter(days.dt.weekday() < 6),
    "whole numbers": pl.Series(range(3, 43, 2)),
    "fractions of 32 bits": pl.Series(np.arange(100, 102, 0.1, dtype=np.float32)),
    "fractions": pl.Series([0.25 * number for number in range(20)]),
    "texts": pl.Series([f"2026-01-{day:02}" for day in range(1, 21)]),
    "texts with offsets": pl.Series([f"2026-01-{day:02} 00:00:00+01:00" for day in range(1, 21)]),
}


@pytest.mark.parametrize("kind", ["polars", "pandas"])
@pytest.mark.parametrize("name", EVEN)
def test_a_frame_gets_the_numbers_and_dates_of_bulk_forecasts(
    server: Server, tmp_path: Path, name: str, kind: str
) -> None:
    given = one_series(EVEN[name])
    given.write_parquet(tmp_path / "in.parquet")
    assert bulk(tmp_path / "in.parquet", tmp_path / "out.parquet", "--horizon", HORIZON, "--level", 80, 95) == 0
    expected = pl.read_parquet(tmp_path / "out.parquet")
    frame: Any = given if kind == "polars" else as_pandas(given)
    with Client(server.url) as client:
        found = client.forecast(frame, HORIZON, level=[80, 95], model="any")
    if kind == "polars":
        assert found.columns == expected.columns
        assert found.equals(expected)
    else:
        assert isinstance(found, pd.DataFrame)
        pd.testing.assert_frame_equal(found, as_pandas(expected), check_exact=True)
        assert found["ds"].dtype == frame["ds"].dtype


def as_pandas(frame: pl.DataFrame) -> pd.DataFrame:
    """Return a frame of pandas. polars itself would need another package for it."""
    columns: dict[str, Any] = {}
    for column in frame.get_columns():
        columns[column.name] = column.to_list()
        if column.dtype.is_temporal():
            columns[column.name] = pd.to_datetime(column.dt.epoch("us").to_numpy(), unit="us")
        if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone:
            columns[column.name] = columns[column.name].tz_localize("UTC").tz_convert(column.dtype.time_zone)
    return pd.DataFrame(columns)


def test_ten_thousand_series_are_forecast_in_one_call(server: Server) -> None:
    count, length = 10_000, 30
    ids = np.repeat(np.arange(count), length)
    rows_BT = np.arange(count)[:, None] + np.resize(WAVE, length)
    times = steps(datetime(2026, 1, 1), "1h", length)
    given = pl.DataFrame({"unique_id": ids, "ds": pl.concat([times] * count), "y": rows_BT.ravel()})
    with Client(server.url, patience_s=300) as client:
        found = client.forecast(given, 3)
    assert found["unique_id"].to_list() == np.repeat(np.arange(count), 3).tolist()
    np.testing.assert_allclose(found["sine"].to_numpy()[::3], np.arange(count), atol=0.5)


def test_both_clients_and_any_names_of_columns_give_the_same(server: Server) -> None:
    given = table(["a", "b"]).rename({"unique_id": "store", "ds": "month", "y": "sales"})
    names: dict[str, Any] = {"id_col": "store", "time_col": "month", "target_col": "sales"}

    async def ask() -> Any:
        async with AsyncClient(server.url) as client:
            return await client.forecast(given, 3, model="any", **names)

    with Client(server.url) as client:
        found = client.forecast(given, 3, model="any", **names)
        assert found.columns == ["store", "month", "any"]
        assert found.equals(asyncio.run(ask()))
        shuffled = given.sample(fraction=1, shuffle=True, seed=0)
        assert client.forecast(shuffled, 3, model="any", **names).sort("store", "month").equals(found)


def test_a_frame_without_ids_or_times_is_one_series(server: Server) -> None:
    with Client(server.url) as client:
        found = client.forecast(pl.DataFrame({"y": WAVE}), 2)
        assert found["unique_id"].to_list() == ["y", "y"]
        assert found["ds"].to_list() == [41, 42]


def test_a_frequency_may_be_given(server: Server) -> None:
    day = pl.DataFrame({"unique_id": ["a"], "ds": [date(2026, 1, 31)], "y": [1.0]})
    with Client(server.url) as client:
        assert client.forecast(day, 2, freq="ME")["ds"].to_list() == [date(2026, 2, 28), date(2026, 3, 31)]
        with pytest.raises(ValueError, match="series 'a': a single time has no frequency; freq has to be given"):
            client.forecast(day, 2)
        with pytest.raises(ValueError, match="with the frequency h, 2023-01-31T01:00:00 is expected, not 2023-02-28"):
            client.forecast(one_series(EVEN["month ends"]).slice(1), 2, freq="h")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda frame: frame.drop("y"), "there is no column 'y', only 'unique_id', 'ds'"),
        (lambda frame: frame.head(0), "the table has no rows"),
        (lambda frame: frame.with_columns(y=pl.lit("1")), "the column 'y' has the type String; numbers are needed"),
        (lambda frame: frame.with_columns(unique_id=pl.lit(0.5)), "the column 'unique_id' needs a text or a whole"),
        (lambda frame: frame.with_columns(ds=pl.lit("soon")), "the time 'soon' cannot be read: a date like"),
        (lambda frame: frame.with_columns(ds=pl.lit(None, pl.Date)), "the column 'ds' has a row without a time"),
        (lambda frame: frame.with_columns(y=pl.lit(None, pl.Float64)), "series 'a': a value at .* is missing"),
        (lambda frame: pl.concat([frame, frame]), "series 'a': two rows have the time 2022-12-31"),
        (
            lambda frame: frame.filter(pl.col("ds") != date(2023, 3, 31)),
            "series 'a': 2023-04-30 comes after 2023-02-28",
        ),
        (lambda frame: frame.rename({"ds": "date"}), "the column 'date' looks like times .*: add time_col='date', or"),
        (
            lambda frame: (
                frame.with_columns(ds=pl.lit(date(2026, 1, 1)), unique_id=pl.lit("b"))
                .drop("ds")
                .with_columns(x=frame["ds"])
            ),
            "the column 'x' looks like times and is not used",
        ),
        (
            lambda frame: pl.concat([frame, frame.with_columns(unique_id=pl.lit("b"))]).rename({"unique_id": "store"}),
            "the column 'store' looks like names of series and is not used: add id_col='store', or",
        ),
        (
            lambda frame: pl.concat([frame.drop("ds"), frame.drop("ds").with_columns(unique_id=pl.lit("b"))]).rename(
                {"unique_id": "who"}
            ),
            "the column 'who' looks like names of series",
        ),
        (lambda frame: frame.with_columns(y=pl.col("y") * 1e20), "series 'a': /y/1: Input should be less than"),
    ],
)
def test_a_frame_that_cannot_be_used_is_explained_and_nothing_is_sent(
    change: Callable[[pl.DataFrame], pl.DataFrame], why: str
) -> None:
    with Client("http://localhost:1") as client, pytest.raises(ValueError, match=why):
        client.forecast(change(one_series(EVEN["month ends"])), 3)


@pytest.mark.parametrize(
    ("frame", "options", "why"),
    [
        ({"y": [1.0, 2.0]}, {"time_col": "date"}, "there is no column 'date' for time_col, only 'y'"),
        ({"y": [1.0, 2.0]}, {"time_col": "ds"}, "there is no column 'ds' for time_col, only 'y'"),
        ({"ds": [1, 2], "y": [1.0, 2.0]}, {"id_col": "store"}, "there is no column 'store' for id_col, only 'ds', 'y'"),
        ({"ds": [1, 2], "y": [1.0, 2.0]}, {"id_col": "ds", "time_col": "ds"}, "must be different columns"),
        ({"ds": [1, 2, 3, 10], "y": [1.0] * 4}, {"freq": 1}, "with the frequency 1, 4 is expected, not 10"),
        ({"ds": [1, 2, 3, 4], "y": [1.0] * 4}, {"freq": 2}, "with the frequency 2, 3 is expected, not 2"),
        ({"ds": [0.5, 1.0, 1.6], "y": [1.0] * 3}, {"freq": 0.5}, "with the frequency 0.5, 1.5 is expected, not 1.6"),
        ({"ds": [1], "y": [1.0]}, {"freq": 0.5}, "the frequency 0.5 is not whole, and the times are whole numbers"),
        ({"ds": pl.Series([2**63], dtype=pl.UInt64), "y": [1.0]}, {"freq": 1}, "'ds' has times above 2^63 - 1"),
        (
            {"ds": pl.Series([datetime(2026, 1, 1)]).cast(pl.Datetime("ns")).dt.offset_by("1ns"), "y": [1.0]},
            {"freq": "D"},
            "the column 'ds' has times with nanoseconds; microseconds are needed",
        ),
    ],
)
def test_nothing_of_a_frame_is_ignored_in_silence(frame: dict[str, Any], options: dict[str, Any], why: str) -> None:
    with Client("http://localhost:1") as client, pytest.raises(ValueError, match=re.escape(why)):
        client.forecast(pl.DataFrame(frame), 3, **options)


INDEXES = {
    "dates": pd.date_range("2026-01-01", periods=4),
    "periods": pd.period_range("2026-01", periods=4, freq="M"),
    "texts": pd.Index(["2026-01", "2026-02", "2026-03", "2026-04"]),
    "numbers with a name": pd.RangeIndex(4, name="ds"),
    "ids and dates": pd.MultiIndex.from_product([["a", "b"], pd.date_range("2026-01-01", periods=2)]),
}


@pytest.mark.parametrize("name", INDEXES)
def test_times_and_ids_in_an_index_of_pandas_are_refused(name: str) -> None:
    with (
        Client("http://localhost:1") as client,
        pytest.raises(ValueError, match=r"reset_index\(\) makes columns of it"),
    ):
        client.forecast(pd.DataFrame({"y": [1.0, 2.0, 3.0, 4.0]}, index=INDEXES[name]), 3)


def test_ids_in_an_index_are_refused_and_labels_of_rows_are_not(server: Server) -> None:
    frame = pd.DataFrame({"ds": [1, 2, 1, 2], "y": [1.0, 2.0, 3.0, 4.0]}, index=["a", "a", "b", "b"])
    with Client(server.url) as client:
        with pytest.raises(ValueError, match=r"reset_index\(\) makes columns of it"):
            client.forecast(frame, 3)
        labelled = frame.iloc[:2].set_axis(["first", "second"])
        assert client.forecast(labelled, 2)["ds"].tolist() == [3, 4]
        assert client.forecast(frame.iloc[::-1].iloc[:2].reset_index(drop=True), 2)["ds"].tolist() == [3, 4]


def test_offsets_and_two_columns_of_one_name_in_pandas_are_refused() -> None:
    offsets = pd.DataFrame({"ds": pd.date_range("2026-01-01", periods=4, tz="+05:30"), "y": [1.0, 2.0, 3.0, 4.0]})
    twice = pd.DataFrame([[1, 2.0, 3.0]], columns=["ds", "y", "y"])
    with Client("http://localhost:1") as client:
        with pytest.raises(ValueError, match=r"the time zone 'UTC\+05:30' has no name; convert to one like UTC"):
            client.forecast(offsets, 3)
        with pytest.raises(ValueError, match="'y' 2 times"):
            client.forecast(twice, 3)


@pytest.mark.parametrize("kind", [pl.DataFrame, pd.DataFrame])
def test_times_that_a_column_cannot_hold_are_refused(server: Server, kind: Any) -> None:
    frame = kind({"ds": np.array([124, 125, 126], np.int8), "y": [1.0, 2.0, 3.0]})
    with Client(server.url) as client:
        assert list(client.forecast(frame, 1)["ds"]) == [127]
        with pytest.raises(ValueError, match="'ds' has the type Int8, which cannot hold the times of the forecasts"):
            client.forecast(frame, 2)


def test_the_options_of_a_forecast_are_checked_before_anything_is_sent() -> None:
    with Client("http://localhost:1") as client:
        for options in ({"horizon": 0}, {"horizon": 1, "level": [100]}):
            with pytest.raises(ValueError, match="validation error"):
                client.forecast(one_series(EVEN["hours"]), **options)
        with pytest.raises(TypeError):
            client.forecast([1, 2, 3], 3)
