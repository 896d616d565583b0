"""The forecasters that a model of your own series is compared with.

Shape suffixes: N values of a series, S steps.
"""

import math
from importlib.util import find_spec
from pathlib import Path
from warnings import catch_warnings, simplefilter

import numpy as np

from model.artifact import Artifact, read_artifact
from model.runtime.base import Runtime
from model.runtime.select import open_runtime
from model.season import find_season
from training.baselines import fit_autoregression
from training.data import Floats
from training.own.backtest import Forecaster

ANY = Path(__file__).parents[2] / "model" / "artifacts" / "any.pt"
LONGEST = 4096
"""The service takes so many values by default. A model is given the last ones."""

ORDERS = (1, 2, 4, 8, 16, 32)
STATISTICAL = ("AutoETS", "AutoTheta", "AutoCES")
LONGEST_STATISTICAL = 24
"""Longer seasons are removed by MSTL before a statistical method forecasts the rest."""


def any_series() -> tuple[Artifact, Runtime]:
    """Return the artifact of the model `any`, and its runtime.

    Raises:
        ArtifactError: it cannot be served here.
    """
    artifact = read_artifact(ANY)
    return artifact, open_runtime(artifact, "cpu").runtime


def served(runtime: Runtime, season: int | None) -> Forecaster:
    """Return the forecasts that the service would answer with. Without a season, it finds one in the values given."""

    def forecast(x_N: Floats, steps: int) -> Floats:
        given_N = x_N[-LONGEST:]
        return runtime.forecast(given_N.tolist(), steps, season or find_season(given_N))[0]

    return forecast


def simple(season: int) -> dict[str, Forecaster]:
    """Return the forecasters that need neither a model nor another package, by name."""
    return {"seasonal naive": seasonal_naive(season), "last value": seasonal_naive(1), "AR": autoregressive}


def seasonal_naive(season: int) -> Forecaster:
    """Return the forecast that repeats the last season, or the last value of a series that is shorter."""

    def forecast(x_N: Floats, steps: int) -> Floats:
        return np.resize(x_N[-season:] if len(x_N) >= season else x_N[-1:], steps)

    return forecast


def autoregressive(x_N: Floats, steps: int) -> Floats:
    """Return the forecast of an autoregression with a constant. BIC chooses its order among `ORDERS`."""
    if not np.ptp(x_N) > 0 or len(x_N) < 8:
        return np.full(steps, x_N[-1])
    most = max(order for order in ORDERS if order == 1 or order <= len(x_N) / 4)
    best = math.inf
    for order in (order for order in ORDERS if order <= most):
        constant, lag_P, level = fit_autoregression([x_N], order)
        window_BT = np.lib.stride_tricks.sliding_window_view(x_N - level, order + 1)[most - order :]
        square = float(((window_BT[:, -1] - constant - window_BT[:, -2::-1] @ lag_P) ** 2).mean())
        bic = len(window_BT) * math.log(max(square, 1e-300)) + (order + 1) * math.log(len(window_BT))
        if bic < best:
            best, chosen = bic, (constant, lag_P, level)
    constant, lag_P, level = chosen
    values = (x_N[-len(lag_P) :] - level).tolist()
    largest = 100 * float(np.abs(x_N - level).max())
    for _ in range(steps):
        value = constant + float(np.dot(lag_P, values[: -len(lag_P) - 1 : -1]))
        values.append(min(max(value, -largest), largest))  # a fitted autoregression may explode
    return np.array(values[-steps:]) + level


def statistical(season: int) -> dict[str, Forecaster]:
    """Return methods of statsforecast by name; none if it is not installed."""
    if find_spec("statsforecast") is None:
        return {}
    return {name: _statistical(name, season) for name in STATISTICAL}


def _statistical(name: str, season: int) -> Forecaster:
    from statsforecast import models

    automatic = getattr(models, name)
    without = {"model": "ZZN"} if name == "AutoETS" else {}  # those of a method without a season

    def forecast(x_N: Floats, steps: int) -> Floats:
        if len(x_N) <= 2 * season:
            method = automatic(**without)
        elif season <= LONGEST_STATISTICAL:
            method = automatic(season_length=season)
        else:
            method = models.MSTL(season_length=season, trend_forecaster=automatic(**without))
        try:
            with catch_warnings():
                simplefilter("ignore", RuntimeWarning)  # it divides by zero on short series, and goes on
                return np.asarray(method.forecast(np.ascontiguousarray(x_N), steps)["mean"], dtype=np.float64)
        except Exception:  # it refuses some short or constant series; each of its methods raises other errors
            return seasonal_naive(season)(x_N, steps)

    return forecast
