"""Tests of POST /forecast: many series at once, with dates, all or none."""

import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import polars as pl
import pytest

from sine_client.messages import ForecastResponse
from sine_client.starts import WrongStart, times_after
from tests.bulk import bulk, table
from tests.server import Server

WAVE = np.sin(2 * np.pi * np.arange(40) / 12).tolist()


def ask(server: Server, **fields: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/forecast", json={"horizon": 3} | fields, timeout=60)


def series(**fields: Any) -> dict[str, Any]:
    return {"unique_id": "a", "y": WAVE} | fields


def dates(server: Server, start: str | float | None, freq: str | float | None, given: int = 4) -> list[Any]:
    """Return the times of a forecast after so many values."""
    answer = ask(server, series=[series(start=start, freq=freq, y=WAVE[:given])])
    assert answer.status_code == 200, answer.text
    found = ForecastResponse.model_validate_json(answer.content).forecasts[0].ds
    return list(found)


@pytest.mark.parametrize(
    ("start", "freq", "expected"),
    [
        ("2024-11-30", "ME", ["2025-03-31", "2025-04-30", "2025-05-31"]),
        ("2023-11-30", "M", ["2024-03-31", "2024-04-30", "2024-05-31"]),
        ("2023-11-29", "M", ["2024-03-29", "2024-04-29", "2024-05-29"]),
        ("2023-10-30", "M-30", ["2024-02-29", "2024-03-30", "2024-04-30"]),
        ("2025-01-01", "QS", ["2026-01-01", "2026-04-01", "2026-07-01"]),
        ("2023-03-31", "QE", ["2024-03-31", "2024-06-30", "2024-09-30"]),
        ("2020-02-29", "YE", ["2024-02-29", "2025-02-28", "2026-02-28"]),
        ("2026-01-01", "SMS", ["2026-03-01", "2026-03-15", "2026-04-01"]),
        ("2026-01-15", "SME", ["2026-03-15", "2026-03-31", "2026-04-15"]),
        ("2026-01-06", "B", ["2026-01-12", "2026-01-13", "2026-01-14"]),
        ("2024-02-25", "D", ["2024-02-29", "2024-03-01", "2024-03-02"]),
        ("2026-01-01", "2W", ["2026-02-26", "2026-03-12", "2026-03-26"]),
        ("2026-01-05", "W-MON", ["2026-02-02", "2026-02-09", "2026-02-16"]),
        ("2026-01-04", "2W-SUN", ["2026-03-01", "2026-03-15", "2026-03-29"]),
        ("2025-03-31", "QE-DEC", ["2026-03-31", "2026-06-30", "2026-09-30"]),
        ("2025-02-28", "Q-NOV", ["2026-02-28", "2026-05-31", "2026-08-31"]),
        ("2022-04-01", "YS-APR", ["2026-04-01", "2027-04-01", "2028-04-01"]),
        ("2025-02-28", "M-30", ["2025-06-30", "2025-07-30", "2025-08-30"]),
        ("2026-01-01", "h", ["2026-01-01T04:00:00", "2026-01-01T05:00:00", "2026-01-01T06:00:00"]),
        ("2026-01-01T00:00", "15min", ["2026-01-01T01:00:00", "2026-01-01T01:15:00", "2026-01-01T01:30:00"]),
        ("2026-01-01T00:00+02:00", "D", [f"2026-01-0{day}T00:00:00+02:00" for day in (5, 6, 7)]),
        (
            "2026-03-25T00:00[Europe/Berlin]",
            "D",
            ["2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00", "2026-03-31T00:00:00+02:00"],
        ),
        (
            "2026-03-28T22:00+01:00[Europe/Berlin]",
            "h",
            ["2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00", "2026-03-29T05:00:00+02:00"],
        ),
        (
            "2026-03-25T02:30[Europe/Berlin]",
            "D",
            ["2026-03-29T03:30:00+02:00", "2026-03-30T02:30:00+02:00", "2026-03-31T02:30:00+02:00"],
        ),
        (5, 2, [13, 15, 17]),
        (0.5, 0.25, [1.5, 1.75, 2.0]),
        (2**63 - 7, 1, [2**63 - 3, 2**63 - 2, 2**63 - 1]),
        (None, None, [5, 6, 7]),
    ],
)
def test_the_times_follow_those_of_the_series(
    server: Server, start: str | float | None, freq: str | float | None, expected: list[Any]
) -> None:
    assert dates(server, start, freq) == expected


@pytest.mark.parametrize(
    ("start", "freq", "allowed"),
    [
        ("2026-01-04", "W-MON", "a start on the weekday of W-MON"),
        ("2026-01-05", "W-ZZZ", "a day after W-, from MON to SUN, or none"),
        ("2026-01-05", "W-5", "a day after W-, from MON to SUN, or none"),
        ("2026-01-31", "QE-DEC", "a start in a month that is whole quarters from DEC, with QE-DEC"),
        ("2026-02-01", "QS-JAN", "a start in a month that is whole quarters from JAN, with QS-JAN"),
        ("2026-03-31", "YE-DEC", "a start in the month of YE-DEC, with YE-DEC"),
        ("2026-03-31", "A-12", "a month after A-, from JAN to DEC, or none"),
        ("2026-03-31", "Q-MON", "a month after Q-, from JAN to DEC, or none"),
        ("2026-01-31", "M-0", "a day of the month after M-, from 1 to 31, or none"),
        ("2026-01-31", "M-99", "a day of the month after M-, from 1 to 31, or none"),
        ("2026-01-31", "M-JAN", "a day of the month after M-, from 1 to 31, or none"),
        ("2026-01-30", "M-31", "a start on the day of the month of M-31, or on the last day of a shorter month"),
        ("2026-01-31", "ME-31", "ME without a suffix; a number and a unit, like"),
        ("2026-01-31", "D-MON", "D without a suffix; a number and a unit, like"),
    ],
)
def test_a_start_that_is_not_on_its_frequency_is_refused(start: str, freq: str, allowed: str) -> None:
    with pytest.raises(WrongStart, match=re.escape(allowed)) as refusal:
        times_after(start, freq, 4, 3)
    assert refusal.value.field == "freq"


def test_every_suffix_is_that_of_pandas() -> None:
    for freq in ("W-MON", "W-TUE", "W-SUN", "QE-JAN", "QE-DEC", "QS-FEB", "QS-DEC", "YE-JUN", "YS-OCT"):
        expected = pd.date_range("2023-01-01", periods=40, freq=freq)
        assert times_after(str(expected[0].date()), freq, 0, 40) == [str(day.date()) for day in expected]
        for day in pd.date_range(expected[0], expected[1], inclusive="neither"):
            with pytest.raises(WrongStart):
                times_after(str(day.date()), freq, 0, 40)


@pytest.mark.parametrize("name", ["sine", "any"])
def test_the_numbers_are_those_of_bulk_and_of_generate_to_the_last_bit(
    server: Server, tmp_path: Path, name: str
) -> None:
    given = table(["a", "b", "c"], 70)
    given.write_parquet(tmp_path / "in.parquet")
    options = ("--horizon", 12, "--level", 80, 95, "--model", name)
    assert bulk(tmp_path / "in.parquet", tmp_path / "out.parquet", *options) == 0
    found = pl.read_parquet(tmp_path / "out.parquet")
    rows = {name: given.filter(unique_id=name)["y"].to_list() for name in "abc"}
    asked = [series(unique_id=name, y=row, start="2020-01-31", freq="ME") for name, row in rows.items()]
    answer = ask(server, series=asked, horizon=12, level=[95, 80], model=name)
    for forecast in ForecastResponse.model_validate_json(answer.content).forecasts:
        same = found.filter(unique_id=forecast.unique_id)
        assert same["ds"].cast(pl.String).to_list() == forecast.ds
        assert same[name].to_list() == forecast.values
        assert forecast.intervals is not None
        assert list(forecast.intervals) == ["lo-95", "lo-80", "hi-80", "hi-95"]
        for end, values in forecast.intervals.items():
            assert same[f"{name}-{end}"].to_list() == values
        body = {"sequence": rows[str(forecast.unique_id)], "steps": 12, "level": [80, 95], "model": name}
        alone = httpx.post(f"{server.url}/generate", json=body).json()
        assert (alone["values"], alone["intervals"]) == (forecast.values, forecast.intervals)


def test_every_error_has_a_pointer_and_nothing_is_done(server: Server) -> None:
    asked = [
        series(start="2026-01-30", freq="ME"),
        series(start="tomorrow", freq="D"),
        series(start="2026-02-30", freq="D"),
        series(start="2026-01-01T00:00[Mars/Base]", freq="D"),
        series(start="2026-01-01", freq="fortnight"),
        series(start="2026-01-01"),
        series(freq="D"),
        series(start=1, freq="D"),
        series(start="2026-01-01", freq=1),
        series(start="2026-01-03", freq="B"),
        series(start="9999-12-01", freq="YE-DEC"),
        series(start="2026-01-01", freq="999999999Y"),
        series(start="9985-01-01[Europe/Berlin]", freq="D"),
        series(y=WAVE[:5]),
    ]
    answer = ask(server, series=asked, level=[80])
    assert answer.status_code == 422
    fields = [
        "freq",
        "start",
        "start",
        "start",
        "freq",
        "freq",
        "start",
        "freq",
        "freq",
        "freq",
        "freq",
        "freq",
        "start",
        "y",
    ]
    expected = [f"/series/{row}/{field}" for row, field in enumerate(fields)]
    assert [error["pointer"] for error in answer.json()["errors"]] == expected


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"series": []}, "/series"),
        ({"series": [series()] * 65}, "/series"),
        ({"series": [series(y=[])]}, "/series/0/y"),
        ({"series": [series(y=["1"])]}, "/series/0/y/0"),
        ({"series": [series(unique_id=None)]}, "/series/0/unique_id"),
        ({"series": [series(unique_id=True)]}, "/series/0/unique_id"),
        ({"series": [series(start=True, freq=1)]}, "/series/0/start"),
        ({"series": [series(unique_id=2**70)]}, "/series/0/unique_id"),
        ({"series": [series(unique_id=-(2**63) - 1)]}, "/series/0/unique_id"),
        ({"series": [series(start=2**63, freq=1)]}, "/series/0/start"),
        ({"series": [series(start=-(2**70), freq=1)]}, "/series/0/start"),
        ({"series": [series(start=10**400, freq=1)]}, "/series/0/start"),
        ({"series": [series(start=2**63 - 42, freq=1)]}, "/series/0/freq"),
        ({"series": [series(start=1, freq=10**25)]}, "/series/0/freq"),
        ({"series": [series(start=0.5, freq=10**400)]}, "/series/0/freq"),
        ({"series": [series(start=1e308, freq=1e308)]}, "/series/0/freq"),
        ({"series": [series(start=1e300, freq=1)]}, "/series/0/freq"),
        ({"series": [series(start="0001-01-01T00:00[Asia/Tokyo]", freq="D")]}, "/series/0/start"),
        ({"series": [series(start="9999-12-31T23:00-05:00[America/New_York]", freq="D")]}, "/series/0/start"),
        ({"series": [series()], "horizon": 0}, "/horizon"),
        ({"series": [series()], "horizon": 10_001}, "/horizon"),
        ({"series": [series()], "horizon": 1000, "level": [80]}, "/horizon"),
        ({"series": [series()], "level": [100]}, "/level/0"),
        ({"series": [series()], "unknown": 1}, ""),
    ],
)
def test_bad_input_is_refused_with_a_pointer(server: Server, fields: dict[str, Any], pointer: str) -> None:
    answer = ask(server, **fields)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_a_start_that_is_no_number_is_refused(server: Server) -> None:
    body = '{"horizon": 3, "series": [{"unique_id": "a", "start": NaN, "freq": 1, "y": [1.0]}]}'
    answer = httpx.post(f"{server.url}/forecast", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"pointer": "/series/0/start", "detail": "input should be text or a finite number"}
    ]


def test_names_may_be_any_whole_numbers_of_64_bits(server: Server) -> None:
    names = [-(2**63), 2**64 - 1]
    answer = ask(server, series=[series(unique_id=name) for name in names])
    assert [forecast["unique_id"] for forecast in answer.json()["forecasts"]] == names


def test_an_unknown_model_a_compressed_body_and_another_type_are_refused(server: Server) -> None:
    assert ask(server, series=[series()], model="none").status_code == 404
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    assert httpx.post(f"{server.url}/forecast", content=b"{}", headers=headers).status_code == 415
    assert httpx.post(f"{server.url}/forecast", content=b"{}").status_code == 422


def test_series_that_a_model_does_not_fit_have_a_warning(server: Server) -> None:
    walk = np.random.default_rng(0).standard_normal(100).cumsum().tolist()
    answer = ask(server, series=[series(), series(y=walk)], model="sine")
    first, second = answer.json()["forecasts"]
    assert "warnings" not in first
    assert second["warnings"][0].startswith("the sequence is not of the kind that sine was trained for")
    assert answer.headers["x-model-version"]


def test_long_series_are_forecast_too(server: Server) -> None:
    long = np.resize(WAVE, 4096).tolist()
    answer = ask(server, series=[series(y=long)] * 2, horizon=300, model="any")
    assert [len(forecast["values"]) for forecast in answer.json()["forecasts"]] == [300, 300]
