"""The statistical methods, each fitted anew at each origin.

Shape suffixes: T time, S steps, Q quantiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from benchmarks.real.forecasts import LEVELS, Forecast, Forecaster, from_intervals
from benchmarks.real.naive import normal_quantiles
from training.data import Floats
from training.examples import best_autoreg

LONGEST_SEASON = 24
"""AutoETS ignores a longer season, and AutoARIMA takes hours for one. Where the season is longer, MSTL removes it, the
method forecasts the rest, and the last season is added again."""

MEDIAN = "median of four"
COMBINED = ("AutoARIMA", "AutoETS", "AutoTheta", "AutoCES")


@dataclass(frozen=True)
class Statsforecast:
    """A model of statsforecast, with its default settings."""

    name: str

    @property
    def version(self) -> str:
        return f"statsforecast {version('statsforecast')}, MSTL above a season of {LONGEST_SEASON}"

    def forecast(self, past_T: Floats, season: int, horizon: int) -> Forecast:
        from statsforecast import models

        automatic: Any = getattr(models, self.name)
        if season > LONGEST_SEASON:
            trend = automatic(model="ZZN") if self.name == "AutoETS" else automatic()  # without a season
            model = models.MSTL(season_length=season, trend_forecaster=trend)
        else:
            model = automatic(season_length=season)
        answer = model.forecast(y=past_T, h=horizon, level=list(LEVELS))
        values_S = np.asarray(answer["mean"], dtype=np.float64)
        return Forecast(values_S, from_intervals(values_S, answer))


@dataclass(frozen=True)
class AutoRegression:
    """AutoReg of statsmodels, with the lags that BIC selects."""

    name: str = "AutoReg"

    @property
    def version(self) -> str:
        return f"statsmodels {version('statsmodels')}"

    def forecast(self, past_T: Floats, season: int, horizon: int) -> Forecast:
        longest = max(season, min(4 * season if season > 1 else 32, len(past_T) // 4))
        fit = best_autoreg(past_T, longest, season)
        about = fit.get_prediction(len(past_T), len(past_T) + horizon - 1)
        values_S = np.asarray(about.predicted_mean, dtype=np.float64)
        return Forecast(values_S, normal_quantiles(values_S, np.sqrt(np.asarray(about.var_pred_mean))))


def statistical() -> list[Forecaster]:
    """Return the methods; none where the extra `examples` is not installed."""
    return [*(Statsforecast(name) for name in COMBINED), AutoRegression()]


def median(forecasts: Sequence[Forecast]) -> Forecast:
    """Return the medians of several forecasts: of their values, and of each of their quantiles.

    (Petropoulos and Svetunkov, "A simple combination of univariate models", *Int. J. Forecasting* 36(1), 2020, with
    these four methods.)
    """
    values_S = np.median([forecast.values_S for forecast in forecasts], axis=0)
    quantiles = [forecast.quantiles_SQ for forecast in forecasts if forecast.quantiles_SQ is not None]
    return Forecast(values_S, np.median(quantiles, axis=0) if len(quantiles) == len(forecasts) else None)
