"""Errors on windows that training never saw, as fractions of their unit, beside baselines.

Shape suffixes: B batch, T time, S steps.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model.network import Network
from training.baselines import Predictor, baselines
from training.data import Source, WindowDataset


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


def evaluate(network: Network, source: Source, context: int, season: int | None = None) -> dict[str, float]:
    """Return `measure` for the network and the baselines. A baseline's entries begin with its name and a slash.

    A baseline's error that is not finite is left out: a fitted autoregression may explode over many steps.
    """
    dataset = source.held_out(context, max(source.rollouts), count=1024)
    errors = measure(network.eval().generate, dataset, source.rollouts)
    for name, baseline in baselines(source, context, season).items():
        measured = measure(baseline, dataset, source.rollouts)
        errors |= {f"{name}/{key}": value for key, value in measured.items() if math.isfinite(value)}
    return errors


def errors_of(predictor: Predictor, dataset: WindowDataset) -> Tensor:
    """Return prediction minus truth as fractions of the data set's unit, [B, S]."""
    x_BT, truth_BS = dataset.all()
    return (predictor(x_BT, dataset.horizon) - truth_BS) / torch.from_numpy(dataset.unit_B)[:, None]


def rmse(error_BS: Tensor) -> float:
    """Return the root mean square."""
    return float(np.sqrt(float(error_BS.square().mean())))
