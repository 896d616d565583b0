"""The anchors that copy values and levels, for a batch: written for all times of a call at once.

TorchScript compiles these functions. Shape suffixes: B batch, T time, U time with the values before, A anchors.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d

from model.anchors import GROWTH, steps_ahead


def ago(v_BU: Tensor, k: int, T: int) -> Tensor:
    """Return z_(t+1-k) for each of the last T times t, [B, T]."""
    end = v_BU.size(1) + 1 - k
    return v_BU[:, end - T : end]


def levels(v_BU: Tensor, number_BU: Tensor, season: int, T: int) -> tuple[Tensor, Tensor]:
    """Return L_t, and by how much it has changed since a season ago, for each of the last T times t, [B, T].

    Args:
        v_BU: the values, and before the first of them that value again.
        number_BU: the number of each value in its sequence, from 1.
        season: the season.
        T: the number of times.
    """
    known_BU = torch.where(number_BU > 0, v_BU, 0.0)[:, -(T + 2 * season - 1) :]
    sum_BU = avg_pool1d(known_BU.unsqueeze(1), season, 1).squeeze(1) * season
    L_BU = sum_BU / number_BU[:, -(T + season) :].clamp(1, season)
    before_BT = torch.where(number_BU[:, -T:] > season, L_BU[:, :T], ago(v_BU, season + 1, T))
    return L_BU[:, season:], L_BU[:, season:] - before_BT


def next_copies(v_BU: Tensor, n_BT: Tensor, L_BT: Tensor, change_BT: Tensor, season: int) -> list[Tensor]:
    """Return the first seven anchors, each [B, T], from the values, their number so far, the level and its change."""
    T = n_BT.size(1)
    z_BT, one_BT, before_BT = ago(v_BU, 1, T), ago(v_BU, season, T), ago(v_BU, season + 1, T)
    two_BT = torch.where(n_BT >= 2 * season, ago(v_BU, 2 * season, T), one_BT)
    return _copies(z_BT, one_BT, two_BT, z_BT - before_BT, L_BT, change_BT)


def later_copies(v_BU: Tensor, n_BT: Tensor, L_BT: Tensor, change_BT: Tensor, season: int) -> list[Tensor]:
    """Return the forecasts of the k-th value by the first seven anchors, each [B, T]. See `next_copies`."""
    T, k = n_BT.size(1), steps_ahead(season)
    z_BT = ago(v_BU, 1, T)
    one_BT, two_BT = z_BT, z_BT
    if k <= season:
        one_BT = torch.where(n_BT > season - k, ago(v_BU, season - k + 1, T), z_BT)
        two_BT = torch.where(n_BT > 2 * season - k, ago(v_BU, 2 * season - k + 1, T), one_BT)
    drift_BT = z_BT - ago(v_BU, season + 1, T) if season > 1 else torch.zeros_like(z_BT)
    return _copies(z_BT, one_BT, two_BT, drift_BT, L_BT, change_BT)


def _copies(
    z_BT: Tensor, one_BT: Tensor, two_BT: Tensor, drift_BT: Tensor, L_BT: Tensor, change_BT: Tensor
) -> list[Tensor]:
    """Return the first seven anchors from the last value, the values one and two seasons before the one forecast, the
    seasonal change of the last value, the level and its change.
    """
    mean_BT = (one_BT + two_BT) / 2 + change_BT
    return [z_BT, one_BT, two_BT, one_BT + change_BT, one_BT + drift_BT, L_BT, mean_BT]


def grown(
    one_BT: Tensor,
    L_BT: Tensor,
    change_BT: Tensor,
    positive_BT: Tensor,
    offset_B1: Tensor,
    least: float = GROWTH[0],
    largest: float = GROWTH[1],
) -> Tensor:
    """Return the anchor of growth [B, T]: the fourth anchor where not all values so far are positive."""
    growth_BT = change_BT / torch.where(positive_BT, L_BT - change_BT + offset_B1, 1.0)
    added_BT = (one_BT + offset_B1) * growth_BT.clamp(least - 1, largest - 1)
    return one_BT + torch.where(positive_BT, added_BT, change_BT)
