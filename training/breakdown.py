"""Errors of a model broken down by horizon, period, length of context, and noise.

Every table has the baselines beside the model. AR(2), fitted to each wave by least squares, is exact on a clean sine up
to rounding. No network can beat it there, but noise makes it fail.

Shape suffixes: B batch, T time, S steps.
"""

import math
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from training.baselines import Predictor, baselines
from training.data import BANDS, Source, WaveDataset, Waves, WindowDataset
from training.measures import errors_of, rmse
from training.tables import Table

COUNT = 1024
CONTEXTS = (8, 16, 24, 32, 48, 64, 96, 128, 256)
SNR_DB = (math.inf, 40.0, 30.0, 20.0)


def breakdown(model: Predictor, source: Source, context: int, season: int | None = None) -> list[Table]:
    """Return all tables that `source` has the data for. Tables use `context` given values unless their title says
    otherwise.
    """
    predictors = {"model": model} | baselines(source, context, season)
    tables = [by_horizon(predictors, source, context)]
    if isinstance(source, Waves) and source.period[0] < source.period[1]:
        tables.append(by_period(predictors, source, context))
    tables.append(by_context(model, source, context, season))
    tables += [by_noise(predictors, source, context, steps) for steps in (1, source.rollouts[0])]
    return tables


def error_by_step(predictors: Mapping[str, Predictor], source: Source, context: int) -> dict[str, Tensor]:
    """Return the RMSE of each step [S] of the longest rollouts, by the name of the predictor."""
    dataset = source.held_out(context, max(source.rollouts), COUNT)
    return {name: errors_of(predict, dataset).square().mean(dim=0).sqrt() for name, predict in predictors.items()}


def by_horizon(predictors: Mapping[str, Predictor], source: Source, context: int) -> Table:
    """Tabulate the errors of single steps: the 1st, the 2nd, the 5th, the 10th, and so on."""
    error_S = error_by_step(predictors, source, context)
    longest = max(source.rollouts)
    steps = sorted({step for power in (1, 10, 100, 1000) for step in (power, 2 * power, 5 * power)} | {longest})
    rows = {f"{step}": [float(error[step - 1]) for error in error_S.values()] for step in steps if step <= longest}
    return _table(f"RMSE of a step by horizon, from {context} values", "step", source, predictors, rows)


def by_period(predictors: Mapping[str, Predictor], waves: Waves, context: int) -> Table:
    """Tabulate the errors of rollouts by band of the period. `training/data.py` holds out the middle of each band."""
    steps = waves.rollouts[0]
    dataset = waves.held_out(context, steps, COUNT)
    low, high = math.log(waves.period[0]), math.log(waves.period[1])
    band_B = np.floor((np.log(dataset.period_B) - low) / (high - low) * BANDS)
    errors = [errors_of(predict, dataset) for predict in predictors.values()]
    rows = {}
    for band in np.unique(band_B):
        inside_B = band_B == band
        ends = dataset.period_B[inside_B].min(), dataset.period_B[inside_B].max()
        name = f"{ends[0]:.1f} to {ends[1]:.1f}"
        rows[name] = [rmse(error_BS[torch.from_numpy(inside_B)]) for error_BS in errors]
    return _table(f"RMSE over {steps} steps by period, from {context} values", "period", waves, predictors, rows)


def by_context(model: Predictor, source: Source, context: int, season: int | None) -> Table:
    """Tabulate the errors of rollouts by the number of given values."""
    steps = source.rollouts[0]
    rows, names = {}, ["model", *baselines(source, context, season)]
    longest = max(CONTEXTS) if isinstance(source, Waves) else context  # a series may be too short for more
    for length in sorted({*(length for length in CONTEXTS if length <= longest), context}):
        dataset = source.held_out(length, steps, COUNT)
        predictors = {"model": model} | baselines(source, length, season)
        rows[f"{length}"] = [
            rmse(errors_of(predictors[name], dataset)) if name in predictors else math.nan for name in names
        ]
    return _table(f"RMSE over {steps} steps by values given", "values", source, names, rows)


def by_noise(predictors: Mapping[str, Predictor], source: Source, context: int, steps: int) -> Table:
    """Tabulate the errors of forecasts from noisy values."""
    dataset = source.held_out(context, steps, COUNT)
    rows = {
        "none" if snr_db == math.inf else f"{snr_db:.0f} dB": [
            rmse(errors_from_noise(predict, dataset, snr_db)) for predict in predictors.values()
        ]
        for snr_db in SNR_DB
    }
    what = "of the next value" if steps == 1 else f"over {steps} steps"
    return _table(f"RMSE {what} by noise, from {context} values", "SNR", source, predictors, rows)


def errors_from_noise(predict: Predictor, dataset: WindowDataset, snr_db: float) -> Tensor:
    """Return `errors_of` [B, S] for given values with white noise, which is always the same. The truth stays clean.

    The signal's power is half the squared amplitude of a wave, or the variance of the series.
    """
    signal_B = dataset.unit_B / (math.sqrt(2) if isinstance(dataset, WaveDataset) else 1)
    noise_BT = np.random.default_rng(0).standard_normal((len(dataset), dataset.window))
    noise_BT *= signal_B[:, None] * 10 ** (-snr_db / 20)
    return errors_of(lambda x_BT, steps: predict(x_BT + torch.from_numpy(noise_BT), steps), dataset)


def _table(title: str, first: str, source: Source, names: Iterable[str], rows: Mapping[str, list[float]]) -> Table:
    return Table(f"{title}, as a fraction of the {source.unit}", first, [n.replace("_", " ") for n in names], rows)
