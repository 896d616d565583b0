"""Backtests: forecasts from rolling origins, one horizon apart, and their errors beside those of seasonal naive.

With e the errors of all origins and steps, and x the values before the first origin with their season s,

    MASE = mean |e| / mean |x_t - x_(t-s)|          RMSSE = sqrt(mean e² / mean (x_t - x_(t-s))²)

(Hyndman and Koehler, "Another look at measures of forecast accuracy", *Int. J. Forecasting* 22(4), 2006; Makridakis,
Spiliotis and Assimakopoulos, "M5 accuracy competition", *Int. J. Forecasting* 38(4), 2022). Neither exists where x
repeats itself exactly. The coverage of a level is the fraction of true values inside its interval.

Seasonal naive forecasts the value of one season before, with the season that is found in the values before each origin.

Shape suffixes: N values of all series, B series, O origins, S steps.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from app.bulk.options import Options
from app.bulk.places import PARQUET
from app.bulk.tables import repeated
from model.forecast import Model, SeriesForecasts
from model.runtime.seasons import find_seasons
from model.series.panel import Panel
from sine_client.dates import following

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def backtest(panel: Panel, model: Model, options: Options) -> tuple[pl.DataFrame, pl.DataFrame, SeriesForecasts]:
    """Return the forecasts of all origins with the true values, the scores of each series, and all forecasts joined.

    A series whose forecast from some origin stops being finite is left out.
    """
    origins, steps, start_B1 = options.backtest, options.horizon, panel.start_B1
    length_B, name = np.diff(start_B1), model.artifact.metadata.name
    left_O = steps * np.arange(origins, 0, -1)
    truth_BOS = panel.value_N[(start_B1[1:, None] + np.arange(-left_O[0], 0))].reshape(-1, origins, steps)
    values_BOS, naive_BOS = np.empty_like(truth_BOS), np.empty_like(truth_BOS)
    ends: dict[str, Floats] = {}
    finite_B, fits_B = np.ones((2, len(length_B)), np.bool_)
    for o, left in enumerate(left_O.tolist() if len(length_B) else left_O[:1].tolist()):
        value_N, first_B1 = _before(panel, left)
        forecasts = model.forecast(value_N, first_B1, steps, options.level)
        season_B = find_seasons(value_N, first_B1)
        values_BOS[:, o], naive_BOS[:, o] = forecasts.values_BS, _naive(value_N, first_B1, season_B, steps)
        for end, end_BS in forecasts.ends.items():
            ends.setdefault(end, np.empty_like(truth_BOS))[:, o] = end_BS
        finite_B &= forecasts.finite_B
        fits_B &= forecasts.fits_B
        if o == 0:
            scale_2B = _scales(value_N, first_B1, season_B)
    ahead_S, rows = np.arange(1 - left_O[0], 1), origins * steps
    at_BS: npt.NDArray[Any] = following(panel.last, panel.frequencies, panel.frequency_B, ahead_S, panel.form.zone)
    cutoff_BO: npt.NDArray[Any] = following(panel.last, panel.frequencies, panel.frequency_B, -left_O, panel.form.zone)
    id, form = panel.columns.id_written, panel.form
    columns = {
        id: repeated(panel.ids, rows),
        panel.columns.time_written: form.written(at_BS.ravel(), panel.last, rows),
        "cutoff": form.written(np.repeat(cutoff_BO.ravel(), steps), panel.last, rows),
        panel.columns.value: truth_BOS.ravel(),
        name: values_BOS.ravel(),
    }
    frame = pl.DataFrame(columns | {f"{name}-{end}": end_BOS.ravel() for end, end_BOS in ends.items()})
    measured = {
        id: panel.ids,
        **_errors(truth_BOS, values_BOS, scale_2B, name),
        **_errors(truth_BOS, naive_BOS, scale_2B, "seasonal-naive"),
        **_coverages(truth_BOS, ends, options.level),
    }
    scores = pl.DataFrame(measured).with_columns(pl.selectors.float().fill_nan(None))
    kept = pl.Series(finite_B)
    frame = frame.filter(pl.Series(np.repeat(finite_B, rows)))
    return frame, scores.filter(kept), SeriesForecasts(values_BOS[:, -1], {}, finite_B, fits_B)


def read_summary(paths: Sequence[Path]) -> dict[str, float | None]:
    """Return the mean of each score over all series of files of scores. Series without a score do not count."""
    total: dict[str, float] = {}
    count: dict[str, int] = {}
    for path in paths:
        content = path.read_bytes()
        frame = pl.read_parquet(io.BytesIO(content)) if path.suffix in PARQUET else pl.read_csv(content)
        for column in frame.get_columns()[1:]:  # the first one has the ids
            numbers = column.cast(pl.Float64)
            total[column.name] = total.get(column.name, 0.0) + float(numbers.sum())
            count[column.name] = count.get(column.name, 0) + numbers.count()
    return {name: total[name] / count[name] if count[name] else None for name in total}


def _before(panel: Panel, left: int) -> tuple[Floats, Integers]:
    """Return the values of all series but the last `left` of each, and their first values."""
    length_B = np.diff(panel.start_B1)
    place_N = np.arange(len(panel.value_N)) - np.repeat(panel.start_B1[:-1], length_B)
    kept_N = place_N < np.repeat(length_B - left, length_B)
    return panel.value_N[kept_N], np.concatenate([[0], np.cumsum(length_B - left)])


def _naive(value_N: Floats, start_B1: Integers, season_B: Integers, steps: int) -> Floats:
    """Return the forecasts of seasonal naive [B, S]."""
    step_S = np.arange(steps)
    forecast_BS: Floats = value_N[start_B1[1:, None] - season_B[:, None] + step_S % season_B[:, None]]
    return forecast_BS


def _scales(value_N: Floats, start_B1: Integers, season_B: Integers) -> Floats:
    """Return the mean absolute and the mean squared error of seasonal naive one season ahead, [2, B]. NaN for none."""
    length_B = np.diff(start_B1)
    if not len(length_B):  # `reduceat` needs a row
        return np.zeros((2, 0))
    season_N = np.repeat(season_B, length_B)
    place_N = np.arange(len(value_N)) - np.repeat(start_B1[:-1], length_B)
    counted_N = place_N >= season_N
    error_N = np.where(counted_N, value_N - value_N[np.maximum(np.arange(len(value_N)) - season_N, 0)], 0.0)
    count_B = np.maximum(length_B - season_B, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale_2B = np.stack([np.add.reduceat(each_N, start_B1[:-1]) / count_B for each_N in (abs(error_N), error_N**2)])
    return np.where(scale_2B > 0, scale_2B, np.nan)


def _errors(truth_BOS: Floats, values_BOS: Floats, scale_2B: Floats, name: str) -> dict[str, Floats]:
    error_BOS = values_BOS - truth_BOS
    absolute_B, squared_B = np.abs(error_BOS).mean(axis=(1, 2)), (error_BOS**2).mean(axis=(1, 2))
    return {f"{name}-mase": absolute_B / scale_2B[0], f"{name}-rmsse": np.sqrt(squared_B / scale_2B[1])}


def _coverages(truth_BOS: Floats, ends: dict[str, Floats], levels: Sequence[int]) -> dict[str, Floats]:
    return {
        f"coverage-{level}": ((ends[f"lo-{level}"] <= truth_BOS) & (truth_BOS <= ends[f"hi-{level}"])).mean(axis=(1, 2))
        for level in sorted(set(levels))
    }
