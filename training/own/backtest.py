"""Rolling origins over the held-out part of series, and the errors of forecasts from them.

A forecaster sees all values before an origin, and forecasts the horizon (Tashman, "Out-of-sample tests of forecasting
accuracy", *Int. J. Forecasting* 16(4), 2000).

Shape suffixes: N values of a series, S steps, O origins.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from training.data import Floats
from training.series import HELD_OUT, SELECTION

Forecaster = Callable[[Floats, int], Floats]
"""A forecaster maps the values before an origin [N] and a number of steps S to the next values [S]."""

Item = TypeVar("Item")

MOST_FORECASTS = 1000
"""Number of forecasts over all series that are measured, at most. Series beyond it are left out, evenly spread."""

SMALLEST_RATIO, LARGEST_RATIO = 0.01, 100.0
"""Limits of the ratio of two errors of a series: a forecast without any error would otherwise decide a mean alone."""


class Trial(NamedTuple):
    """A series and the origins that it is forecast from."""

    name: str
    x_N: Floats
    known: int
    """Number of values before the first origin."""

    origins: tuple[int, ...]

    def truth(self, horizon: int) -> Floats:
        """Return the values after each origin, [O, S]."""
        return np.stack([self.x_N[origin : origin + horizon] for origin in self.origins])


class Errors(NamedTuple):
    """The errors of a forecaster over all series. `errors_of` defines the measures."""

    mae: float
    """Mean absolute error relative to that of seasonal naive: the geometric mean over series."""

    next_value: float
    """The same for the next value alone."""

    mase: float
    rmsse: float
    rmse: float
    """Root mean squared error, as a fraction of the standard deviation before the first origin."""


def trials(series: Mapping[str, Floats], known: Mapping[str, int], horizon: int, origins: int) -> list[Trial]:
    """Return the series that can be measured, with at most so many origins each.

    `known` has the number of values of each series before its held-out part.
    """
    usable = [
        Trial(name, x_N, known[name], tuple(evenly(range(known[name], len(x_N) - horizon + 1), origins)))
        for name, x_N in series.items()
        if known[name] >= 2 and len(x_N) - horizon >= known[name]
    ]
    return evenly(usable, max(1, MOST_FORECASTS // origins))


def forecasts(forecast: Forecaster, every: Iterable[Trial], horizon: int) -> list[Floats]:
    """Return the forecasts of each series, [O, S] each."""
    return [np.stack([forecast(one.x_N[:origin], horizon) for origin in one.origins]) for one in every]


def errors_of(every: Sequence[Trial], made: Sequence[Floats], naive: Sequence[Floats], season: int) -> Errors:
    """Return the errors of forecasts. `naive` are those of seasonal naive.

    MASE and RMSSE are the mean absolute and the root mean squared error of a series, divided by those of seasonal naive
    one season ahead in the values before the first origin (Hyndman and Koehler, *Int. J. Forecasting* 22(4), 2006).
    They are means over series, without those that repeat exactly. RMSE leaves out series that were constant alone.
    Ratios to the error of seasonal naive are kept within 0.01 and 100 for each series.
    """
    logs, scaled, squares = [], [], []
    for one, made_OS, naive_OS in zip(every, made, naive, strict=True):
        truth_OS = one.truth(made_OS.shape[1])
        error_OS, other_OS = np.abs(made_OS - truth_OS), np.abs(naive_OS - truth_OS)
        logs.append([_log_ratio(error_OS, other_OS), _log_ratio(error_OS[:, :1], other_OS[:, :1])])
        known_N = one.x_N[: one.known]
        change_N = _changes(known_N, season)
        square = float(np.sqrt((error_OS**2).mean()))
        if change_N.any():
            mean_square = float(np.sqrt((change_N**2).mean()))
            scaled.append([error_OS.mean() / np.abs(change_N).mean(), square / mean_square])
        if np.ptp(known_N) > 0:
            squares.append(square / known_N.std())
    mae, next_value = map(_ratio, np.mean(logs, axis=0).tolist())
    mase, rmsse = np.mean(scaled, axis=0).tolist() if scaled else (math.nan,) * 2
    return Errors(mae, next_value, mase, rmsse, float(np.mean(squares)) if squares else math.nan)


def fold_begins(known: int, horizon: int) -> list[int]:
    """Return the number of values before each fold of backtests, the later fold first.

    A fold is as long as the part of a series that selects the weights of a network, and holds at least one forecast.
    """
    size = max(horizon, round(known * SELECTION / (1 - HELD_OUT)))
    return [known - size, known - 2 * size] if known - 2 * size > 0.4 * known else [known - size]


def naive_scale(x_N: Floats, season: int) -> float:
    """Return the mean absolute change over a season, or over a step in a series that is not longer than a season."""
    change_N = _changes(x_N, season)
    return float(np.abs(change_N).mean()) if len(change_N) else 0.0


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """Return at most so many items, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[index] for index in np.unique(np.linspace(0, len(items) - 1, most).round().astype(int)).tolist()]


def _changes(x_N: Floats, season: int) -> Floats:
    lag = season if len(x_N) > season else 1
    return x_N[lag:] - x_N[:-lag]


def _log_ratio(error_OS: Floats, other_OS: Floats) -> float:
    """Return the logarithm of the ratio of two mean errors; 0 where both are 0."""
    error, other = float(error_OS.mean()), float(other_OS.mean())
    if error == other:
        return 0.0
    ratio = error / other if other else LARGEST_RATIO
    return math.log(min(max(ratio, SMALLEST_RATIO), LARGEST_RATIO))


def _ratio(log: float) -> float:
    """Return a ratio from its logarithm; a limit exactly, without an error of rounding."""
    ratio = math.exp(log)
    return next((limit for limit in (SMALLEST_RATIO, LARGEST_RATIO) if math.isclose(ratio, limit)), ratio)
