"""Tests of the season of a request, with the model for any series: it is told, or found in the values."""

import json
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect

from model.season import LONGEST_SEASON, find_season
from tests.server import Server

pytestmark = pytest.mark.anyio

MONTHS = (100 + np.arange(120) / 3 + 20 * np.sin(np.arange(120) * np.pi / 6) + np.arange(120) % 12).tolist()
NO_SEASON = np.random.default_rng(0).standard_normal(120).cumsum().tolist()


@pytest.fixture
def post(server: Server) -> Any:
    """Return a function that posts a body for the model `any` and returns the answer."""

    def post(path: str, status: int = 200, **body: object) -> Any:
        response = httpx.post(server.url + path, json={"model": "any"} | body)
        assert response.status_code == status, response.text
        return response.json()

    return post


def test_the_season_is_found_in_the_values(post: Any) -> None:
    assert find_season(MONTHS) == 12
    found = post("/generate", sequence=MONTHS, steps=12, diagnostics=True)
    told = post("/generate", sequence=MONTHS, steps=12, diagnostics=True, season=12)
    assert found == told
    assert found["season"] == 12
    assert post("/predict", sequence=NO_SEASON, diagnostics=True)["season"] == 1
    error = np.abs(np.array(found["values"]) - MONTHS[-12:] - 4).mean()
    assert error < 1, "the season and the trend go on"


def test_another_season_gives_another_forecast(post: Any) -> None:
    twelve, none, seven = (
        post("/generate", sequence=MONTHS, steps=12, season=season)["values"] for season in (12, 1, 7)
    )
    assert twelve != none
    assert none != seven


@pytest.mark.parametrize("season", [0, -1, LONGEST_SEASON + 1, 1.5, "12", True])
def test_a_season_out_of_range_is_refused_by_name(post: Any, season: object) -> None:
    for path, more in (("/predict", {}), ("/generate", {"steps": 3}), ("/generate/stream", {"steps": 3})):
        problem = post(path, 422, sequence=MONTHS, season=season, **more)
        assert [error["pointer"] for error in problem["errors"]] == ["/season"]


def test_a_model_without_anchors_ignores_the_season(post: Any) -> None:
    plain = post("/generate", sequence=MONTHS, steps=5, model="sine", diagnostics=True)
    assert post("/generate", sequence=MONTHS, steps=5, model="sine", diagnostics=True, season=7) == plain
    assert "season" not in plain


def test_all_ways_give_the_same_forecast(server: Server, post: Any) -> None:
    for season in ({}, {"season": 12}, {"season": 5}):
        values = post("/generate", sequence=MONTHS, steps=30, **season)["values"]
        assert post("/predict", sequence=MONTHS, **season)["prediction"] == values[0]
        streamed = httpx.post(
            server.url + "/generate/stream", json={"sequence": MONTHS, "steps": 30, "model": "any"} | season
        )
        parts = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: ")]
        assert [value for part in parts[:-1] for value in part["values"]] == values
        tensor = {"name": "sequence", "shape": [2, 120], "datatype": "FP64", "data": MONTHS + NO_SEASON}
        body = {"inputs": [tensor], "parameters": {"steps": 30} | season}
        inferred = httpx.post(server.url + "/v2/models/any/infer", json=body).json()
        assert inferred["outputs"][0]["data"][:30] == values


def test_the_open_inference_protocol_refuses_a_season_out_of_range(server: Server) -> None:
    tensor = {"name": "sequence", "shape": [1, 120], "datatype": "FP64", "data": MONTHS}
    for season in (0, LONGEST_SEASON + 1, "12"):
        body = {"inputs": [tensor], "parameters": {"season": season}}
        response = httpx.post(server.url + "/v2/models/any/infer", json=body)
        assert response.status_code == 400
        assert "/parameters/season" in response.json()["error"]


@pytest.mark.parametrize("season", [{}, {"season": 12}, {"season": 1}])
def test_a_rollout_goes_on_from_its_token_bit_for_bit(post: Any, season: dict[str, int]) -> None:
    whole = post("/generate", sequence=MONTHS, steps=40, **season)["values"]
    first = post("/generate", sequence=MONTHS, steps=15, return_state=True, **season)
    rest = post("/generate", sequence=[], steps=25, state=first["state"])["values"]
    assert first["values"] + rest == whole


@pytest.mark.parametrize("before", [40, 100])
def test_a_sequence_goes_on_from_its_token(post: Any, before: int) -> None:
    begun = post("/predict", sequence=MONTHS[:before], season=12, return_state=True)
    more = post("/generate", sequence=MONTHS[before:], steps=5, state=begun["state"], diagnostics=True)
    assert more["season"] == 12
    if before <= 64:  # the token holds the values, and the season that was told
        assert more["values"] == post("/generate", sequence=MONTHS, steps=5, season=12)["values"]
    else:
        problem = post("/generate", 422, sequence=MONTHS[before:], steps=5, state=begun["state"], season=7)
        assert problem["errors"][0]["pointer"] == "/season"
        assert "12" in problem["errors"][0]["detail"]


def test_a_token_of_few_values_finds_the_season_anew(post: Any) -> None:
    begun = post("/predict", sequence=MONTHS[:13], return_state=True, diagnostics=True)
    assert begun["season"] == 1
    more = post("/generate", sequence=MONTHS[13:], steps=5, state=begun["state"], diagnostics=True)
    assert more["season"] == 12
    assert more["values"] == post("/generate", sequence=MONTHS, steps=5)["values"]


@pytest.mark.parametrize("told", [None, 12])
async def test_live_finds_the_season_as_the_values_arrive(server: Server, post: Any, told: int | None) -> None:
    url = server.url.replace("http", "ws") + "/live?model=any"
    seen = 0
    async with connect(url, compression=None) as socket:
        for place, value in enumerate(MONTHS[:60]):
            more = {"season": told} if told and place == 0 else {}
            await socket.send(json.dumps({"sequence": [value], "diagnostics": True} | more))
            answer = json.loads(await socket.recv())
            if place % 7 == 0 or place > 55:
                season = {} if told is None else {"season": told}
                assert answer == post("/predict", sequence=MONTHS[: place + 1], diagnostics=True, **season)
                seen += 1
        await socket.send(json.dumps({"sequence": [MONTHS[60]], "season": 5, "diagnostics": True}))
        assert json.loads(await socket.recv())["season"] == 5
    assert seen > 10


def test_a_long_rollout_in_chunks_equals_its_parts(post: Any) -> None:
    whole = post("/generate", sequence=MONTHS, steps=9000, season=12, timeout_s=30)["values"]
    first = post("/generate", sequence=MONTHS, steps=4500, season=12, return_state=True, timeout_s=30)
    rest = post("/generate", sequence=[], steps=4500, state=first["state"], timeout_s=30)["values"]
    assert first["values"] + rest == whole


def test_the_warning_of_a_model_names_the_other(post: Any) -> None:
    (warning,) = post("/predict", sequence=MONTHS, model="sine")["warnings"]
    assert "any is for series of any kind" in warning


def test_both_models_are_served_by_default(server: Server) -> None:
    listed = httpx.get(server.url + "/models").json()
    assert [listed["default"], *(model["name"] for model in listed["models"])] == ["sine", "sine", "any"]
    assert httpx.get(server.url + "/model").json()["name"] == "sine"
