"""Tests of the forecaster's two hooks: the charge of a request, and the span around its forecast."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from app.engine.forecaster import Forecaster
from app.errors import RateExceeded
from app.settings import Settings
from app.telemetry.metrics import Metrics
from model.artifact import read_artifact
from model.runtime.base import Runtime
from model.runtime.select import open_runtime
from tests.artifacts import make_small_artifact

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    return open_runtime(read_artifact(make_small_artifact(tmp_path_factory.mktemp("model"))), "cpu", "fused").runtime


class Hooks:
    """Both hooks. They record the arguments of their calls."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.refuses = False

    def charge(self, steps: int) -> None:
        self.calls.append(steps)
        if self.refuses:
            raise RateExceeded(1, 1, 1)

    @contextmanager
    def span(self, rows: int, length: int, steps: int) -> Iterator[Callable[[bool], None]]:
        self.calls.append(("begun", rows, length, steps))
        yield lambda diverged: self.calls.append(("diverged", diverged))
        self.calls.append("ended")


@pytest.fixture
def hooks() -> Hooks:
    return Hooks()


@pytest.fixture
def forecaster(runtime: Runtime, hooks: Hooks) -> Iterator[Forecaster]:
    settings = Settings(max_pending_s=5, timeout_s=30)
    made = Forecaster(runtime, settings, Metrics(()), hooks.charge, hooks.span)
    yield made
    made.close()


@pytest.mark.parametrize("steps", [1, 20_000])
async def test_a_forecast_is_charged_once_within_its_span(forecaster: Forecaster, hooks: Hooks, steps: int) -> None:
    await forecaster.forecast([0.5, 1.0], steps)
    assert hooks.calls == [("begun", 1, 2, steps), 2 + steps, ("diverged", False), "ended"]


async def test_a_stream_is_charged_as_a_whole_at_its_beginning(forecaster: Forecaster, hooks: Hooks) -> None:
    parts = forecaster.stream([0.5, 1.0], 1000)
    assert hooks.calls == []
    await anext(parts)
    assert hooks.calls == [("begun", 1, 2, 1000), 1002]
    assert len([part async for part in parts]) > 1
    assert hooks.calls[2:] == [("diverged", False), "ended"]


@pytest.mark.parametrize("steps", [1, 20_000])
async def test_a_batch_is_charged_for_all_of_its_rows(forecaster: Forecaster, hooks: Hooks, steps: int) -> None:
    await forecaster.forecast_batch([[0.5], [0.5, 1.0]], steps)
    assert hooks.calls == [("begun", 2, 2, steps), 3 + 2 * steps, ("diverged", False), "ended"]


async def test_a_batch_of_one_row_is_a_forecast(forecaster: Forecaster, hooks: Hooks) -> None:
    await forecaster.forecast_batch([[0.5, 1.0]], 3)
    assert hooks.calls == [("begun", 1, 2, 3), 5, ("diverged", False), "ended"]


async def test_work_that_cannot_be_charged_is_not_done(forecaster: Forecaster, hooks: Hooks) -> None:
    hooks.refuses = True
    for refused in (
        forecaster.forecast([0.5], 1),
        forecaster.forecast_batch([[0.5], [1.0]], 1),
        anext(forecaster.stream([0.5], 1)),
    ):
        hooks.calls.clear()
        with pytest.raises(RateExceeded):
            await refused
        assert len(hooks.calls) == 2  # the span has begun, and the charge was refused
