"""Errors on waves that training never saw, as fractions of the amplitude, beside baselines.

Shape suffixes: B batch, T time, S steps.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from model.network import Network
from training.data import WaveDataset, Waves

Predictor = Callable[[Tensor, int], Tensor]
"""From sequences [B, T] and a number of steps S to the values [B, S] that follow, both in double precision."""

# Different draws of held-out waves: the one that chooses the best weights must not be the one that is reported.
SELECTION, REPORT = 1, 2
ROLLOUTS = (100, 1000)


def held_out(waves: Waves, context: int, horizon: int, seed: int, count: int = 1024) -> WaveDataset:
    """`count` held-out windows of `context` values with the `horizon` values that follow."""
    return WaveDataset(waves, "held_out", count, context, horizon, seed)


@torch.inference_mode()
def rollout_rmse(predictor: Predictor, dataset: WaveDataset) -> float:
    """Root mean square, over waves and steps, of a rollout's errors over the data set's horizon."""
    return _rmse(_errors(predictor, dataset))


@torch.inference_mode()
def measure(predictor: Predictor, dataset: WaveDataset) -> dict[str, float]:
    """Errors of the next value, RMSE and largest, and the RMSE of rollouts over all their steps.

    A rollout length that is longer than the data set's horizon is left out.
    """
    error_BS = _errors(predictor, dataset)
    measured = {"next_value_rmse": _rmse(error_BS[:, :1]), "next_value_max": float(error_BS[:, 0].abs().max())}
    return measured | {
        f"rollout_{steps}_rmse": _rmse(error_BS[:, :steps]) for steps in ROLLOUTS if steps <= dataset.horizon
    }


def evaluate(network: Network, waves: Waves, context: int) -> dict[str, float]:
    """`measure` for the network and, with their names before a slash, for the baselines."""
    dataset = held_out(waves, context, max(ROLLOUTS), REPORT)
    errors = measure(network.eval().generate, dataset)
    for name, baseline in (("last_value", last_value), ("ar2", ar2)):
        errors |= {f"{name}/{key}": value for key, value in measure(baseline, dataset).items()}
    return errors


def last_value(x_BT: Tensor, steps: int) -> Tensor:
    """The baseline that repeats the last value."""
    return x_BT[:, -1:].expand(-1, steps)


def ar2(x_BT: Tensor, steps: int) -> Tensor:
    """The baseline x_t = a x_(t-1) + b x_(t-2), a and b fitted to each sequence by least squares.

    Exact on a clean sine of frequency ω, where a = 2 cos ω and b = -1, up to rounding: no network can beat it there.
    It is the yardstick for how far a learned model is from what the mathematics allows. Needs at least 4 values.
    """
    lagged_BT2 = torch.stack([x_BT[:, 1:-1], x_BT[:, :-2]], dim=-1)
    fit_B2 = torch.linalg.lstsq(lagged_BT2, x_BT[:, 2:, None]).solution.squeeze(-1)
    before_B, last_B = x_BT[:, -2], x_BT[:, -1]
    values = []
    for _ in range(steps):
        before_B, last_B = last_B, fit_B2[:, 0] * last_B + fit_B2[:, 1] * before_B
        values.append(last_B)
    return torch.stack(values, dim=1)


def _errors(predictor: Predictor, dataset: WaveDataset) -> Tensor:
    """Prediction less truth over amplitude, [B, S]."""
    x_BT, truth_BS = dataset.all()
    return (predictor(x_BT, dataset.horizon) - truth_BS) / torch.from_numpy(dataset.amplitude_B)[:, None]


def _rmse(error_BS: Tensor) -> float:
    return float(np.sqrt(float(error_BS.square().mean())))
