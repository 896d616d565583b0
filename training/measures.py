"""Errors on windows that training never saw, as fractions of their unit, beside baselines.

Shape suffixes: B batch, T time, S steps.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from model.anchored import AnchoredNetwork
from model.network import Network
from training.baselines import Predictor, baselines
from training.config import Config
from training.data import REPORT, SELECTION, Source, WindowDataset
from training.prior.source import Prior, unseen
from training.relative import relative_baselines, relative_errors, seasonal_predictor

SELECTED, REPORTED, SERIES = 16, 64, 32
"""Numbers of batches of synthetic series that select the weights, and that are reported, and of series in a batch."""


def selection_error(config: Config, source: Source) -> Callable[[Network | AnchoredNetwork], float]:
    """Return the function that measures the error of a network's rollouts on unseen windows, to select the weights."""
    if isinstance(source, Prior):
        batches = list(source.batches(SELECTED, SERIES, unseen(SELECTION), config.context, config.steps_evaluated))
        return lambda network: relative_errors(seasonal_predictor(network), batches)["rollout_mae"]
    steps = min(config.steps_evaluated, source.rollouts[-1])
    windows = source.selection(config.context_evaluated, steps, count=512)
    return lambda network: rollout_rmse(network.generate, windows)


@torch.inference_mode()
def rollout_rmse(predictor: Predictor, dataset: WindowDataset) -> float:
    """Return the root mean square, over windows and steps, of a rollout's errors over the data set's horizon."""
    return rmse(errors_of(predictor, dataset))


@torch.inference_mode()
def measure(predictor: Predictor, dataset: WindowDataset, rollouts: Sequence[int]) -> dict[str, float]:
    """Return the RMSE and the largest error of the next value, and the RMSE of rollouts over all their steps.

    Rollout lengths beyond the data set's horizon are left out.
    """
    error_BS = errors_of(predictor, dataset)
    measured = {"next_value_rmse": rmse(error_BS[:, :1]), "next_value_max": float(error_BS[:, 0].abs().max())}
    return measured | {
        f"rollout_{steps}_rmse": rmse(error_BS[:, :steps]) for steps in rollouts if steps <= dataset.horizon
    }


def evaluate(
    network: Network | AnchoredNetwork, source: Source, context: int, season: int | None = None
) -> dict[str, float]:
    """Return `measure` for the network and the baselines. A baseline's entries begin with its name and a slash.

    A baseline's error that is not finite is left out: a fitted autoregression may explode over many steps. On synthetic
    series the errors are those of `relative_errors`, and each of them has its own context and season.
    """
    if isinstance(source, Prior):
        batches = list(source.batches(REPORTED, SERIES, unseen(REPORT)))
        errors = relative_errors(seasonal_predictor(network.eval()), batches)
        for name, predict in relative_baselines().items():
            errors |= {f"{name}/{key}": value for key, value in relative_errors(predict, batches).items()}
        return errors
    dataset = source.held_out(context, max(source.rollouts), count=1024)
    errors = measure(network.eval().generate, dataset, source.rollouts)
    for name, baseline in baselines(source, context, season).items():
        measured = measure(baseline, dataset, source.rollouts)
        errors |= {f"{name}/{key}": value for key, value in measured.items() if math.isfinite(value)}
    return errors


def predictor_of(network: Network | AnchoredNetwork, source: Source) -> Predictor:
    """Return the network's forecasts of windows of the source, with the season of a prior's windows."""
    if isinstance(source, Prior):
        predict, season = seasonal_predictor(network), source.season
        return lambda x_BT, steps: predict(x_BT, steps, season)
    return network.generate


def errors_of(predictor: Predictor, dataset: WindowDataset) -> Tensor:
    """Return prediction minus truth as fractions of the data set's unit, [B, S]."""
    x_BT, truth_BS = dataset.all()
    return (predictor(x_BT, dataset.horizon) - truth_BS) / torch.from_numpy(dataset.unit_B)[:, None]


def rmse(error_BS: Tensor) -> float:
    """Return the root mean square."""
    return float(np.sqrt(float(error_BS.square().mean())))
