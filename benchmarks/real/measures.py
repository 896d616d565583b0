"""The measures of forecasts from several origins of one series, and their mean over series.

Shape suffixes: K values before the first origin, O origins, S steps, Q quantiles, N series.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from benchmarks.real.forecasts import QUANTILES
from training.data import Floats

SMALLEST_RATIO, LARGEST_RATIO = 0.01, 100.0


@dataclass(frozen=True)
class Measured:
    """The errors of one forecaster on one series."""

    mae: float
    """Mean absolute error, in the units of the series."""

    rmse: float
    """Root mean squared error, in the units of the series."""

    next_value: float
    """Mean absolute error of the first step, in the units of the series."""

    mase: float
    rmsse: float
    quantile_loss: float | None
    inside_80: float | None
    """The share of the true values inside the interval of 80 %. Both are None if the forecaster gives no quantiles."""


def measure(
    known_K: Floats, season: int, truth_OS: Floats, values_OS: Floats, quantiles_OSQ: Floats | None
) -> Measured:
    """Return the errors of forecasts.

    Raises:
        ValueError: MASE does not exist, because `known_K` repeats itself exactly after a season.
    """
    error_OS = values_OS - truth_OS
    mae, rmse = float(np.abs(error_OS).mean()), float(np.sqrt((error_OS**2).mean()))
    scale, square_scale = scales(known_K, season)
    return Measured(
        mae,
        rmse,
        float(np.abs(error_OS[:, 0]).mean()),
        mae / scale,
        rmse / square_scale,
        None if quantiles_OSQ is None else mean_weighted_quantile_loss(truth_OS, quantiles_OSQ),
        None if quantiles_OSQ is None else inside(truth_OS, quantiles_OSQ),
    )


def scales(known_K: Floats, season: int) -> tuple[float, float]:
    """Return the mean absolute and the root mean squared error of seasonal naive, one season ahead, in `known_K`.

    They are the denominators of MASE and RMSSE (Hyndman and Koehler, "Another look at measures of forecast accuracy",
    *Int. J. Forecasting* 22(4), 2006; Makridakis, Spiliotis and Assimakopoulos, "M5 accuracy competition", *Int. J.
    Forecasting* 38(4), 2022, for the squares). Both use all values before the first origin.

    Raises:
        ValueError: there is no such error, or it is zero.
    """
    error_K = known_K[season:] - known_K[:-season]
    if not error_K.any():
        raise ValueError(f"the values before the first origin have no error of seasonal naive with season {season}")
    return float(np.abs(error_K).mean()), float(np.sqrt((error_K**2).mean()))


def mean_weighted_quantile_loss(truth_OS: Floats, quantiles_OSQ: Floats) -> float:
    """Return 2 Σ (y - q)(τ - [y < q]) / Q Σ |y|, summed over origins, steps and the quantiles τ.

    It approximates the continuous ranked probability score, as a fraction of the mean magnitude of the series
    (Park, Maddix, Aubet, Kan, Gasthaus and Wang, "Learning quantile functions without quantile crossing for
    distribution-free time series forecasting", AISTATS 2022). 0 is best. It is infinite if all true values are 0.
    """
    error_OSQ = truth_OS[:, :, None] - quantiles_OSQ
    loss_OSQ = error_OSQ * (np.array(QUANTILES) - (error_OSQ < 0))
    magnitude = np.abs(truth_OS).sum()
    return float(2 * loss_OSQ.sum() / (len(QUANTILES) * magnitude)) if magnitude else float("inf")


def inside(truth_OS: Floats, quantiles_OSQ: Floats) -> float:
    """Return the share of true values between the lowest and the highest quantile, which are 80 % apart."""
    return float(np.mean((quantiles_OSQ[:, :, 0] <= truth_OS) & (truth_OS <= quantiles_OSQ[:, :, -1])))


def ratio(error: float, naive: float) -> float:
    """Return an error relative to that of seasonal naive, between `SMALLEST_RATIO` and `LARGEST_RATIO`.

    The bounds keep a single series from deciding a geometric mean (Shchur et al., "fev-bench: a realistic benchmark
    for time series forecasting", 2025).

    Raises:
        ValueError: the error of seasonal naive is zero.
    """
    if naive <= 0:
        raise ValueError("seasonal naive has no error here")
    return min(LARGEST_RATIO, max(SMALLEST_RATIO, error / naive))


def geometric_mean(ratios_N: Iterable[float]) -> float:
    """Return the geometric mean: errors twice as large and half as large cancel out.

    (Fleming and Wallace, "How not to lie with statistics: the correct way to summarize benchmark results",
    *Communications of the ACM* 29(3), 1986.)
    """
    return float(np.exp(np.mean(np.log(list(ratios_N)))))
