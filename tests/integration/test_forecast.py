"""Tests of POST /predict and POST /generate on a real server with the shipped model."""

import asyncio
import math
from collections.abc import AsyncIterator

import httpx
import pytest

from app.settings import Settings
from model.artifact import read_artifact
from model.runtime.select import open_runtime
from sine_client import AsyncClient

pytestmark = pytest.mark.anyio


def sine(length: int, period: float = 25, amplitude: float = 1, start: int = 0) -> list[float]:
    return [amplitude * math.sin(2 * math.pi * t / period + 0.7) for t in range(start, start + length)]


async def predict(client: httpx.AsyncClient, sequence: list[float]) -> float:
    return (await AsyncClient(client).predict(sequence)).prediction


async def generate(client: httpx.AsyncClient, sequence: list[float], steps: int) -> list[float]:
    answer = await AsyncClient(client).generate(sequence, steps)
    assert (answer.finish_reason, len(answer.values)) == ("length", steps)
    return answer.values


@pytest.mark.parametrize("period", [10, 17.3, 33, 50])
@pytest.mark.parametrize("amplitude", [1e-3, 1, 5e5])
async def test_the_next_value_of_a_sine_is_right_within_one_percent(
    client: httpx.AsyncClient, period: float, amplitude: float
) -> None:
    (truth,) = sine(1, period, amplitude, start=64)
    assert abs(await predict(client, sine(64, period, amplitude)) - truth) < 0.01 * amplitude


async def test_a_rollout_follows_the_wave(client: httpx.AsyncClient) -> None:
    values = await generate(client, sine(64), 100)
    error = math.sqrt(sum((a - b) ** 2 for a, b in zip(values, sine(100, start=64), strict=True)) / 100)
    assert error < 0.1


async def test_the_prediction_is_the_first_value_of_the_rollout(client: httpx.AsyncClient) -> None:
    assert (await generate(client, sine(64), 5))[0] == await predict(client, sine(64))


async def test_the_service_answers_what_the_runtime_does(client: httpx.AsyncClient) -> None:
    runtime = open_runtime(read_artifact(Settings().model)).runtime
    values_BS, _ = runtime.rollout(runtime.encode([sine(64)]), 1000)
    values = await generate(client, sine(64), 1000)
    assert values == pytest.approx(values_BS[0].tolist(), abs=1e-3)
    assert values[0] == pytest.approx(values_BS[0][0], abs=1e-6)


async def test_twice_the_input_gives_twice_the_output(client: httpx.AsyncClient) -> None:
    once = await generate(client, sine(64), 20)
    assert await generate(client, [2 * value for value in sine(64)], 20) == [2 * value for value in once]


@pytest.mark.parametrize(
    "body", [b'{"sequence":[1]}', b'{"sequence":[0]}', b'{"sequence":[1e15,-1E15,1,-0.0]}', b'{"sequence":[1]}\n']
)
async def test_the_limits_themselves_are_allowed(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 200
    assert math.isfinite(response.json()["prediction"])


async def test_the_longest_sequence_and_rollout_are_answered_and_one_more_is_not(client: httpx.AsyncClient) -> None:
    limits = Settings()
    longest = sine(limits.max_sequence)
    assert len(await generate(client, longest, limits.max_steps)) == limits.max_steps
    too_long = await client.post("/predict", json={"sequence": [*longest, 0.0]})
    assert too_long.status_code == 422
    assert too_long.json()["errors"][0]["pointer"] == "/sequence"
    assert "at most 4096" in too_long.json()["detail"]
    too_far = await client.post("/generate", json={"sequence": [1.0], "steps": limits.max_steps + 1})
    assert too_far.status_code == 422
    assert too_far.json()["errors"] == [{"pointer": "/steps", "detail": "input should be less than or equal to 10000"}]


async def test_a_body_over_the_limit_is_413_announced_or_not(client: httpx.AsyncClient) -> None:
    large = b" " * (Settings().max_body_bytes + 1)

    async def unannounced() -> AsyncIterator[bytes]:
        yield large

    for content in (large, unannounced()):
        response = await client.post("/predict", content=content, headers={"content-type": "application/json"})
        assert response.status_code == 413
        assert response.headers["content-type"] == "application/problem+json"
        assert str(Settings().max_body_bytes) in response.json()["detail"]
    assert await predict(client, sine(8))


async def test_an_answer_is_bit_for_bit_the_same_alone_and_beside_64_others(client: httpx.AsyncClient) -> None:
    if (await client.get("/model")).json()["runtime"] != "fused":
        pytest.skip("batches of another size round differently on CUDA")
    asked = [(sine(1 + i, 10 + i % 40), 1 + 37 * i) for i in range(65)]
    alone = [await generate(client, *each) for each in asked]
    together = await asyncio.gather(*(generate(client, *each) for each in asked))  # a refused request is sent again
    assert together == alone
