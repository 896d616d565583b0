"""Tests of the measures of forecasts, against values computed by hand and by utilsforecast."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.real.forecasts import LEVELS, QUANTILES, Forecast, from_intervals
from benchmarks.real.measures import (
    LARGEST_RATIO,
    SMALLEST_RATIO,
    geometric_mean,
    inside,
    mean_weighted_quantile_loss,
    measure,
    ratio,
    scales,
)

KNOWN_K = np.array([1.0, 3.0, 2.0, 6.0, 3.0, 7.0])
"""With season 2, seasonal naive is off by 1, 3, 1 and 1."""

TRUTH_OS = np.array([[4.0, 8.0], [8.0, 5.0]])
VALUES_OS = np.array([[3.0, 6.0], [8.0, 2.0]])
"""The errors are 1 and 2 from one origin, 0 and 3 from the other."""


def test_the_measures_are_those_computed_by_hand() -> None:
    found = measure(KNOWN_K, 2, TRUTH_OS, VALUES_OS, None)
    assert found.mae == pytest.approx((1 + 2 + 0 + 3) / 4)
    assert found.rmse == pytest.approx(math.sqrt((1 + 4 + 0 + 9) / 4))
    assert found.next_value == pytest.approx((1 + 0) / 2)
    assert found.mase == pytest.approx(1.5 / ((1 + 3 + 1 + 1) / 4))
    assert found.rmsse == pytest.approx(math.sqrt(3.5 / ((1 + 9 + 1 + 1) / 4)))
    assert found.quantile_loss is None


def test_the_quantile_loss_is_that_computed_by_hand() -> None:
    # Each quantile is 1 below the first value and 1 above the second one: the losses are their levels and the rest.
    quantiles_OSQ = np.broadcast_to(np.array([9.0, 11.0])[None, :, None], (1, 2, len(QUANTILES)))
    loss = mean_weighted_quantile_loss(np.array([[10.0, 10.0]]), quantiles_OSQ)
    assert loss == pytest.approx(2 * sum(level + (1 - level) for level in QUANTILES) / (len(QUANTILES) * 20))


def test_a_value_on_the_end_of_an_interval_is_inside() -> None:
    quantiles_OSQ = np.broadcast_to(np.linspace(9.0, 11.0, len(QUANTILES)), (1, 4, len(QUANTILES)))
    assert inside(np.array([[9.0, 11.0, 8.9, 11.1]]), quantiles_OSQ) == 0.5


def test_the_quantile_loss_of_a_certain_forecast_is_its_absolute_error() -> None:
    quantiles_OSQ = np.repeat(VALUES_OS[:, :, None], len(QUANTILES), axis=2)
    found = measure(KNOWN_K, 2, TRUTH_OS, VALUES_OS, quantiles_OSQ)
    assert found.quantile_loss == pytest.approx(np.abs(VALUES_OS - TRUTH_OS).sum() / TRUTH_OS.sum())


def test_the_measures_are_those_of_utilsforecast() -> None:
    losses = pytest.importorskip("utilsforecast.losses", reason="not installed: make test-statistics")
    pandas = pytest.importorskip("pandas", reason="not installed: make test-statistics")
    rng = np.random.default_rng(0)
    known_K, truth_S = rng.normal(20, 5, 60), rng.normal(20, 5, 12)
    quantiles_SQ = np.sort(rng.normal(20, 5, (12, len(QUANTILES))), axis=1)
    names = [f"m-q{quantile}" for quantile in QUANTILES]
    train = pandas.DataFrame({"unique_id": "y", "ds": np.arange(60), "y": known_K})
    test = pandas.DataFrame({"unique_id": "y", "ds": np.arange(60, 72), "y": truth_S, "m": quantiles_SQ[:, 4]})
    test[names] = quantiles_SQ
    found = measure(known_K, 12, truth_S[None], quantiles_SQ[None, :, 4], quantiles_SQ[None])

    def expected(frame: Any) -> float:
        return float(frame["m"].iloc[0])

    assert found.mae == pytest.approx(expected(losses.mae(test, ["m"])))
    assert found.rmse == pytest.approx(expected(losses.rmse(test, ["m"])))
    assert found.mase == pytest.approx(expected(losses.mase(test, ["m"], 12, train)))
    assert found.rmsse == pytest.approx(expected(losses.rmsse(test, ["m"], 12, train)))
    crps = losses.scaled_crps(test, {"m": names}, np.array(QUANTILES))
    assert found.quantile_loss == pytest.approx(expected(crps))


@given(scale=st.floats(0.01, 100), level=st.floats(-100, 100))
def test_no_relative_measure_depends_on_the_unit(scale: float, level: float) -> None:
    one = measure(KNOWN_K, 2, TRUTH_OS, VALUES_OS, None)
    other = measure(level + scale * KNOWN_K, 2, level + scale * TRUTH_OS, level + scale * VALUES_OS, None)
    assert other.mase == pytest.approx(one.mase)
    assert other.rmsse == pytest.approx(one.rmsse)
    assert other.mae == pytest.approx(scale * one.mae)


def test_a_series_that_repeats_itself_exactly_has_no_scale() -> None:
    with pytest.raises(ValueError, match="no error of seasonal naive with season 2"):
        scales(np.array([1.0, 2.0, 1.0, 2.0]), 2)


def test_a_single_series_cannot_decide_a_geometric_mean() -> None:
    assert ratio(3.0, 2.0) == 1.5
    assert ratio(0.0, 2.0) == SMALLEST_RATIO
    assert ratio(1e9, 2.0) == LARGEST_RATIO
    assert geometric_mean([ratio(1.0, 2.0), ratio(2.0, 1.0)]) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="seasonal naive has no error"):
        ratio(1.0, 0.0)


def test_the_ends_of_intervals_are_quantiles_in_ascending_order() -> None:
    ends = {
        f"{side}-{level}": np.array([sign * level / 2.0]) for level in LEVELS for side, sign in (("lo", -1), ("hi", 1))
    }
    quantiles_SQ = from_intervals(np.zeros(1), ends)
    np.testing.assert_allclose(quantiles_SQ[0], 100 * np.array(QUANTILES) - 50, atol=1e-12)


@pytest.mark.parametrize("quantiles_SQ", [np.zeros((2, 8)), np.full((2, 9), np.nan)], ids=["too few", "not finite"])
def test_a_forecast_with_bad_quantiles_is_refused(quantiles_SQ: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    with pytest.raises(ValueError, match=r"quantiles are|not finite"):
        Forecast(np.zeros(2), quantiles_SQ)
