"""The baselines: seasonal naive, the last value and the drift.

Their quantiles are those of normal errors. The standard deviation of the errors of one step, s, is estimated from the
values before the origin. That of step h follows from it (Hyndman and Athanasopoulos, *Forecasting: Principles and
Practice*, third edition, 2021, section 5.5). With k = ⌊(h - 1) / season⌋ and T values before the origin:

    last value  s √h          seasonal naive  s √(k + 1)          drift  s √(h (1 + h / (T - 1)))

Shape suffixes: T time, S steps, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from benchmarks.real.forecasts import QUANTILES, Forecast, Forecaster
from training.data import Floats

_NORMAL_Q = np.array([NormalDist().inv_cdf(quantile) for quantile in QUANTILES])


def normal_quantiles(values_S: Floats, deviation_S: Floats) -> Floats:
    """Return the quantiles [S, Q] of normal distributions."""
    quantiles_SQ: Floats = values_S[:, None] + deviation_S[:, None] * _NORMAL_Q
    return quantiles_SQ


def seasonal_naive(past_T: Floats, season: int, horizon: int) -> Forecast:
    """Forecast the value of one season before. With fewer values than a season, that is the last value."""
    season = season if season < len(past_T) else 1
    step_S = np.arange(horizon)
    values_S = past_T[len(past_T) - season + step_S % season]
    sigma = np.sqrt(np.mean((past_T[season:] - past_T[:-season]) ** 2))
    return Forecast(values_S, normal_quantiles(values_S, sigma * np.sqrt(step_S // season + 1)))


def last_value(past_T: Floats, season: int, horizon: int) -> Forecast:
    """Forecast the last value."""
    return seasonal_naive(past_T, 1, horizon)


def drift(past_T: Floats, season: int, horizon: int) -> Forecast:
    """Forecast the line through the first and the last value."""
    slope = (past_T[-1] - past_T[0]) / (len(past_T) - 1)
    step_S = np.arange(1, horizon + 1)
    values_S = past_T[-1] + slope * step_S
    # One parameter is estimated from T - 1 differences.
    sigma = np.sqrt(np.sum((np.diff(past_T) - slope) ** 2) / (len(past_T) - 2))
    return Forecast(values_S, normal_quantiles(values_S, sigma * np.sqrt(step_S * (1 + step_S / (len(past_T) - 1)))))


@dataclass(frozen=True)
class Baseline:
    """A function of this module as a forecaster."""

    name: str
    function: Callable[[Floats, int, int], Forecast]
    version: str = "1"

    def forecast(self, past_T: Floats, season: int, horizon: int) -> Forecast:
        return self.function(past_T, season, horizon)


SEASONAL_NAIVE = Baseline("seasonal naive", seasonal_naive)


def baselines() -> list[Forecaster]:
    return [SEASONAL_NAIVE, Baseline("last value", last_value), Baseline("drift", drift)]
