"""Tests of KServe's protocol for time series. The oracle is the schema of KServe's own types."""

import json
from typing import Any

import httpx
import jsonschema_rs
import numpy as np
import pytest

from tests.integration.kserve_schema import SCHEMA
from tests.server import Server

WAVE = np.sin(2 * np.pi * np.arange(40) / 12).tolist()


def valid(model: str, message: Any) -> bool:
    """Return whether KServe's type accepts a message."""
    definitions = json.loads(SCHEMA.read_text())
    return jsonschema_rs.is_valid({**definitions, "$ref": f"#/$defs/{model}"}, message)


def series(**fields: Any) -> dict[str, Any]:
    return {"type": "univariate_time_series", "name": "a", "series": WAVE, "frequency": "day"} | fields


def body(*inputs: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"model": "any", "inputs": list(inputs), "options": {"horizon": 3} | options}


def ask(server: Server, request: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/timeseries/forecast", json=request, timeout=60)


def test_an_answer_is_one_of_kserve_and_has_the_numbers_of_forecast(server: Server) -> None:
    request = body(
        series(start_timestamp="2026-01-31T00:00:00Z", frequency="M"),
        series(name="b", series=WAVE[:20], color="blue"),
        quantiles=[0.9, 0.025, 0.5],
    )
    request["metadata"] = {"anything": [1]}
    assert valid("ForecastRequest", request)
    answer = ask(server, request).json()
    assert valid("ForecastResponse", answer)
    assert [output["status"] for output in answer["outputs"]] == ["completed"] * 2
    asked = [{"unique_id": "a", "y": WAVE}, {"unique_id": "b", "y": WAVE[:20]}]
    other = {"series": asked, "horizon": 3, "model": "any", "level": [80, 95]}
    forecasts = httpx.post(f"{server.url}/forecast", json=other, timeout=60).json()["forecasts"]
    for output, forecast in zip(answer["outputs"], forecasts, strict=True):
        (content,) = output["content"]
        assert content["name"] == forecast["unique_id"]
        assert content["mean_forecast"] == forecast["values"]
        ends = forecast["intervals"]
        assert list(content["quantiles"]) == ["0.025", "0.5", "0.9"]
        assert [*content["quantiles"].values()] == [ends["lo-95"], forecast["values"], ends["hi-80"]]


def test_quantiles_rise(server: Server) -> None:
    request = body(series(), quantiles=[0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
    content = ask(server, request).json()["outputs"][0]["content"][0]
    rising_QS = np.array([*content["quantiles"].values()])
    assert rising_QS.shape == (7, 3)
    assert np.all(np.diff(rising_QS, axis=0) >= 0)


@pytest.mark.parametrize(
    ("frequency", "start", "expected"),
    [
        ("S", "2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z"),
        ("minute", "2026-01-01T00:00:00", "2026-01-01T00:05:00Z"),
        ("H", "2026-01-01T00:00:00+02:00", "2026-01-01T03:00:00Z"),
        ("day", "2026-01-01", "2026-01-06T00:00:00Z"),
        ("W", "2026-01-01T12:30:00Z", "2026-02-05T12:30:00Z"),
        ("month", "2026-01-31T12:30:00Z", "2026-06-30T12:30:00Z"),
        ("Q", "2025-11-30T00:00:00Z", "2027-02-28T00:00:00Z"),
        ("D", "0001-01-01", "0001-01-06T00:00:00Z"),
        ("year", "2024-02-29T00:00:00Z", "2029-02-28T00:00:00Z"),
    ],
)
def test_a_forecast_begins_where_its_series_ends(server: Server, frequency: str, start: str, expected: str) -> None:
    request = body(series(series=WAVE[:5], frequency=frequency, start_timestamp=start))
    assert valid("ForecastRequest", request)
    (content,) = ask(server, request).json()["outputs"][0]["content"]
    assert (content["start_timestamp"], content["frequency"]) == (expected, frequency)


def test_a_series_without_a_start_ends_now(server: Server) -> None:
    answer = ask(server, body(series())).json()
    assert valid("ForecastResponse", answer)
    began = np.datetime64(answer["outputs"][0]["content"][0]["start_timestamp"].rstrip("Z"), "s").astype(int)
    assert began == answer["created_at"]


def test_the_models_are_listed_by_name(server: Server) -> None:
    names = httpx.get(f"{server.url}/v1/timeseries/models").json()
    assert names == ["sine", "any"]


@pytest.mark.parametrize(
    ("request_body", "status", "place"),
    [
        (body(series(type="multivariate_time_series", series=[WAVE, WAVE])), 400, "/inputs/0/type"),
        (body(series(series=[])), 400, "/inputs/0/series"),
        (body(series(series=["1"])), 400, "/inputs/0/series/0"),
        (body(series(frequency="fortnight")), 400, "/inputs/0/frequency"),
        (body(series(), series(start_timestamp="tomorrow")), 400, "/inputs/1/start_timestamp"),
        (body(series(start_timestamp="9990-01-01")), 400, "/inputs/0/start_timestamp"),
        (body(series(start_timestamp="9999-12-31T23:59:59-12:00", frequency="M")), 400, "/inputs/0/start_timestamp"),
        (body(series(start_timestamp="0001-01-01T00:00:00+14:00", frequency="S")), 400, "/inputs/0/start_timestamp"),
        (body(series(start_timestamp="0001-01-01T00:00:00+14:00", frequency="Y")), 400, "/inputs/0/start_timestamp"),
        (body(series(), series(series=WAVE[:5]), quantiles=[0.1]), 400, "/inputs/1/series"),
        (body(series(), quantiles=[0.333]), 400, "/options/quantiles"),
        (body(series(), quantiles=[1.0]), 400, "/options/quantiles/0"),
        (body(series(), horizon=0), 400, "/options/horizon"),
        (body(series(), horizon=1000, quantiles=[0.1]), 400, "/options/horizon"),
        (body(*[series()] * 65), 400, "/inputs"),
        (body(series()) | {"model": "none"}, 404, ""),
        ({}, 400, "/model"),
    ],
)
def test_a_refusal_is_one_of_kserve(server: Server, request_body: dict[str, Any], status: int, place: str) -> None:
    answer = ask(server, request_body)
    assert answer.status_code == status
    assert valid("ErrorResponse", answer.json())
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == (str(status), place)
    assert error["message"]
    assert error["type"] == ("BadRequestError" if status == 400 else "NotFoundError")
