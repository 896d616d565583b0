"""Property tests of units: a forecast follows every change of unit of its sequence."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.artifact import read_artifact
from model.runtime.base import Runtime
from model.runtime.select import Engine, open_runtime
from model.units import Units, units_between
from tests.artifacts import make_small_artifact

UNITS = st.tuples(
    st.floats(-9, 9).map(lambda power: 10**power),
    st.floats(-1e9, 1e9) | st.sampled_from([0.0, 1e9, -1e9]),
)
"""Factors a of 1e-9 to 1e9, and constants c of up to 1e9."""


@pytest.fixture(scope="module", params=["fused", "torchscript"])
def runtime(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    engine: Engine = request.param
    return open_runtime(
        read_artifact(Path(make_small_artifact(tmp_path_factory.mktemp("units"), cell="gru"))), "cpu", engine
    ).runtime


@given(
    sequence=st.lists(st.integers(-1000, 1000), min_size=1, max_size=80),
    unit=UNITS,
    steps=st.sampled_from([1, 30]),
)
@settings(deadline=None)
def test_a_forecast_follows_a_change_of_unit(
    runtime: Runtime, sequence: list[int], unit: tuple[float, float], steps: int
) -> None:
    factor, constant = unit
    changed = [factor * value + constant for value in sequence]
    values_S, state = runtime.forecast(sequence, steps)
    changed_S, changed_state = runtime.forecast(changed, steps)
    # The change itself rounds the values. The forecast is off by that, and by its own rounding in the network's units.
    rounding = 4 * np.spacing(max(map(abs, changed)))
    if state.scale > 0:
        in_units = rounding / (factor * state.scale)
        assert changed_state.residual == pytest.approx(state.residual, abs=1e-5 + 50 * in_units)
    tolerance = 1e-5 * steps * factor * state.scale + 50 * rounding
    np.testing.assert_allclose(changed_S, factor * values_S + constant, rtol=0, atol=tolerance)


@given(value=st.floats(-1e15, 1e15), length=st.integers(1, 100))
@settings(deadline=None)
def test_a_constant_sequence_is_continued_by_itself(runtime: Runtime, value: float, length: int) -> None:
    values_S, state = runtime.forecast([value] * length, 20)
    assert values_S.tolist() == [value] * 20
    assert state.scale == 0


@given(values=st.lists(st.floats(-1e15, 1e15), min_size=1))
def test_the_range_of_a_sequence_becomes_minus_one_to_one(values: list[float]) -> None:
    level, scale = units_between(min(values), max(values))
    assert scale >= 0
    assert math.isfinite(level)
    for end, expected in ((max(values), 1), (min(values), -1)):
        assert end - level == pytest.approx(expected * scale, abs=2 * np.spacing(max(map(abs, values))))


def test_units_of_older_artifacts() -> None:
    assert units_between(-3, 2, "max_abs") == Units(0, 3)
    assert units_between(-3, 2, "standard", 5000, 8) == Units(5000, 8)
