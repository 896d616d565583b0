"""Tests of batches in the forecaster: answers equal those of single rows, and a batch runs whole or not at all."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from app.engine.forecaster import Forecaster
from app.errors import ClientGone, DeadlineExceeded, Overloaded
from app.settings import Settings
from app.telemetry.metrics import Metrics
from model.artifact import read_artifact
from model.runtime.base import Runtime, State
from model.runtime.select import Engine, open_runtime
from tests.artifacts import make_small_artifact
from tests.metrics import total

pytestmark = pytest.mark.anyio

LONG = 10**9
"""The steps of a rollout that only the test can end: at the price of `STEP_S` they outlast each deadline."""

STEP_S = 1e-6
"""The price of a step in seconds, fixed so that no machine's speed counts. A turn of the event loop fits 250 steps."""


class Gated:
    """A runtime whose rollouts on the model's thread wait until the test allows them."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._allowed = threading.Semaphore(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    def rollout(self, states: Sequence[State], steps: int) -> object:
        if threading.current_thread() is not threading.main_thread():
            self._allowed.acquire()
        return self._runtime.rollout(states, steps)

    def allow(self, turns: int) -> None:
        self._allowed.release(turns)


@pytest.fixture(scope="module", params=["fused", "torchscript"])
def runtime(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    engine: Engine = request.param
    folder = tmp_path_factory.mktemp("model")
    return open_runtime(read_artifact(make_small_artifact(folder)), "cpu", engine).runtime


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(())


def shown(metrics: Metrics, name: str) -> float:
    return total(metrics.expose().decode(), name)


@pytest.fixture(autouse=True)
def _price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.engine.admission._price", lambda runtime: STEP_S)


@pytest.fixture
def forecaster(runtime: Runtime, metrics: Metrics) -> Iterator[Forecaster]:
    made = Forecaster(runtime, Settings(max_pending_s=60, timeout_s=600), metrics)
    yield made
    made.close()


@pytest.fixture
def gated(runtime: Runtime) -> Gated:
    return Gated(runtime)


@pytest.fixture
def held(gated: Gated, metrics: Metrics) -> Iterator[Forecaster]:
    """Make a forecaster whose model's thread waits at each turn until `gated` allows it."""
    made = Forecaster(gated, Settings(max_pending_s=60, timeout_s=600), metrics)  # type: ignore[arg-type]
    yield made
    gated.allow(64)  # more turns than the thread has begun, so that it ends now
    made.close()


def rows(count: int, length: int = 5) -> Sequence[Sequence[float]]:
    return [*np.random.default_rng(count).normal(size=(count, length))]


# The first two batches run at once. In the third each row fits into a turn of the loop, but the batch does not. In
# the others no row fits.
@pytest.mark.parametrize(
    ("count", "length", "steps"), [(1, 5, 1), (3, 5, 2), (64, 5, 200), (2, 20_000, 3), (1, 5, 20_000), (5, 5, 20_000)]
)
async def test_each_row_of_a_batch_gets_the_answer_that_it_gets_alone(
    forecaster: Forecaster, metrics: Metrics, count: int, length: int, steps: int
) -> None:
    batch = await forecaster.forecast_batch(rows(count, length), steps)
    assert shown(metrics, "sine_steps_total") == count * (length + steps)
    assert shown(metrics, "sine_pending_steps") == 0
    assert len(batch) == count
    for row, forecast in zip(rows(count, length), batch, strict=True):
        alone = await forecaster.forecast(row, steps)
        assert not forecast.diverged
        values, expected = np.concatenate(forecast.chunks), np.concatenate(alone.chunks)
        if forecaster.runtime.name == "fused":
            np.testing.assert_array_equal(values, expected)
        else:
            np.testing.assert_allclose(values[:100], expected[:100], atol=1e-5)


async def test_batches_give_the_same_answers_together_and_alone(forecaster: Forecaster) -> None:
    shapes = [(64, 200), (3, 3), (2, 20_000), (64, 200), (10, 100)]
    together = await asyncio.gather(*(forecaster.forecast_batch(rows(count), steps) for count, steps in shapes))
    for (count, steps), batch in zip(shapes, together, strict=True):
        for forecast, again in zip(batch, await forecaster.forecast_batch(rows(count), steps), strict=True):
            values, expected = np.concatenate(forecast.chunks)[:100], np.concatenate(again.chunks)[:100]
            np.testing.assert_allclose(values, expected, atol=1e-5)


async def test_a_batch_is_admitted_whole_or_not_at_all(held: Forecaster, metrics: Metrics) -> None:
    first = asyncio.ensure_future(held.forecast_batch(rows(4), LONG))
    await asyncio.sleep(0)  # the batch begins
    waiting = shown(metrics, "sine_pending_steps")
    assert waiting == 4 * (5 + LONG)
    with pytest.raises(Overloaded):
        await held.forecast_batch(rows(4), LONG)
    assert shown(metrics, "sine_pending_steps") == waiting
    first.cancel()
    await asyncio.wait([first])
    assert shown(metrics, "sine_pending_steps") == 0


async def test_a_short_forecast_goes_before_the_rows_of_a_long_batch(held: Forecaster, gated: Gated) -> None:
    batch = asyncio.ensure_future(held.forecast_batch(rows(64), LONG))
    await asyncio.sleep(0)  # the batch begins
    for _ in range(3):
        short = asyncio.ensure_future(held.forecast(rows(1)[0], 1))
        await asyncio.sleep(0)
        gated.allow(2)  # the turn that had begun, and the turn of the short request
        await short
    assert not batch.done()
    batch.cancel()
    await asyncio.wait([batch])


# The model's thread rolls out the rows of the first case. Each row of the second fits into a turn of the event loop.
@pytest.mark.parametrize("steps", [LONG, 200])
async def test_a_batch_ends_with_its_deadline_and_with_its_client(
    held: Forecaster, metrics: Metrics, steps: int
) -> None:
    with pytest.raises(DeadlineExceeded):
        await held.forecast_batch(rows(64), steps, timeout_s=1e-6)
    assert shown(metrics, "sine_pending_steps") == 0

    async def gone() -> None:
        return None

    with pytest.raises(ClientGone):
        await held.forecast_batch(rows(64), steps, client_gone=gone)
    assert shown(metrics, "sine_pending_steps") == 0


async def test_an_error_of_the_runtime_fails_the_batch_and_nothing_after_it(
    forecaster: Forecaster, metrics: Metrics
) -> None:
    with pytest.raises((ValueError, TypeError), match=r"could not convert|unsupported operand"):
        await forecaster.forecast_batch([[0.5], ["x"]], 20_000)  # type: ignore[list-item]
    assert shown(metrics, "sine_pending_steps") == 0
    assert len(await forecaster.forecast_batch(rows(3), 20_000)) == 3
