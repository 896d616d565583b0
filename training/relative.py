"""Errors relative to seasonal naive, over held-out series of many seasons.

Shape suffixes: B batch, T time, S steps.
"""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from model.anchored import AnchoredNetwork
from model.metadata import Architecture
from model.network import Network
from training.anchored import forecast, naive_season
from training.baselines import last_value, seasonal_naive
from training.prior.source import LEAST_CHANGE, Batch

SeasonalPredictor = Callable[[Tensor, int, int], Tensor]
"""A seasonal predictor maps sequences [B, T], a number of steps S and a season to the next values [B, S]."""


def relative_errors(predict: SeasonalPredictor, batches: Iterable[Batch]) -> dict[str, float]:
    """Return the absolute error of the next value and the mean of a rollout, relative to that of seasonal naive.

    Each is the geometric mean over all series of both errors' ratio. 0.02 is added to both, as the series of the prior
    have the deviation 1 and seasonal naive may be exact. Where hardly a season is given, seasonal naive repeats the
    last value.
    """
    log_ratios_2B = [
        torch.log(
            (_errors(predict(batch.x_BT, batch.y_BS.size(1), batch.season), batch) + LEAST_CHANGE)
            / (_errors(_naive(batch.x_BT, batch.y_BS.size(1), batch.season), batch) + LEAST_CHANGE)
        )
        for batch in batches
    ]
    next_value, rollout = torch.cat(log_ratios_2B, dim=1).mean(dim=1).exp().tolist()
    return {"next_value_mae": next_value, "rollout_mae": rollout}


def seasonal_predictor(network: Network | AnchoredNetwork) -> SeasonalPredictor:
    """Return the forecasts of a network. Only an anchored one sees the season."""
    if isinstance(network, AnchoredNetwork):
        return partial(forecast, network)
    return lambda x_BT, steps, season: network.generate(x_BT, steps)


def relative_baselines() -> dict[str, SeasonalPredictor]:
    """Return the baselines by name. An untrained network is the mean of its anchors."""
    untrained = AnchoredNetwork(Architecture(inputs="anchors", hidden=1))
    return {
        "seasonal_naive": _naive,
        "last_value": lambda x_BT, steps, season: last_value(x_BT, steps),
        "mean_of_anchors": partial(forecast, untrained),
    }


def _naive(x_BT: Tensor, steps: int, season: int) -> Tensor:
    return seasonal_naive(naive_season(season, x_BT.size(1)))(x_BT, steps)


def _errors(values_BS: Tensor, batch: Batch) -> Tensor:
    """Return the absolute error of the next value, and the mean of a rollout, [2, B]."""
    error_BS = (values_BS - batch.y_BS).abs()
    return torch.stack([error_BS[:, 0], error_BS.mean(dim=1)])
