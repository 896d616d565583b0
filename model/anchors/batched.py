"""The anchors of a batch, in PyTorch and TorchScript. The sequences of one call have one season.

`copies.py` and `recurrences.py` have the parts. Gradients flow through the values.

Shape suffixes: B batch, T time, U time with the values before, A anchors, k steps ahead, I inputs of the network, P
inputs of the autoregression, K the whole state.
"""

import math

import torch
from torch import Tensor

from model.anchors import LARGEST_INPUT, LOG_SCALE, SMALLEST_ERROR, lags, steps_ahead
from model.anchors.copies import grown, later_copies, levels, next_copies
from model.anchors.recurrences import autoregress, average, smooth
from model.anchors.state import Parts, pack, unpack


def observe(z_BT: Tensor, length_B: Tensor, state_BK: Tensor, season: int) -> tuple[Tensor, Tensor, Tensor]:
    """Take the values given.

    Args:
        z_BT: normalised values, padded on the right with any finite values.
        length_B: the number of values of each row that belong to its sequence, 1 to T.
        state_BK: the states before the first value.
        season: the season of all sequences.

    Returns:
        The network's inputs [B, T, I] and the forecasts of the next value [B, T, A] after each value, and the states
        after the last value [B, K].
    """
    return _take(z_BT, length_B, state_BK, season, True)


def feed_back(z_B: Tensor, state_BK: Tensor, season: int) -> tuple[Tensor, Tensor, Tensor]:
    """Take a forecast in the place of the next value. Return inputs [B, I], forecasts [B, A] and states [B, K]."""
    one_B = torch.ones(z_B.size(0), dtype=torch.long, device=z_B.device)
    input_BTI, forecast_BTA, state_BK = _take(z_B.unsqueeze(1), one_B, state_BK, season, False)
    return input_BTI.squeeze(1), forecast_BTA.squeeze(1), state_BK


def _take(z_BT: Tensor, length_B: Tensor, state_BK: Tensor, season: int, given: bool) -> tuple[Tensor, Tensor, Tensor]:
    old, T, k = unpack(state_BK, season), z_BT.size(1), steps_ahead(season)
    V, before_B = old.values_BV.size(1), old.observed_B + old.rolled_out_B
    first_B1, inside_BT = before_B.unsqueeze(1) == 0, torch.arange(T, device=z_BT.device) < length_B.unsqueeze(1)
    v_BU = torch.cat([torch.where(first_B1, z_BT[:, :1], old.values_BV), z_BT], dim=1)
    number_BU = before_B.unsqueeze(1) + torch.arange(1 - V, T + 1, device=z_BT.device)
    n_BT = number_BU[:, V:]

    L_BT, change_BT = levels(v_BU, number_BU, season, T)
    lowest_B1 = torch.where(first_B1, z_BT[:, :1], old.lowest_B.unsqueeze(1))
    # It has no gradient, because it is only compared.
    lowest_BT = torch.cat([lowest_B1, z_BT], dim=1).detach().cummin(dim=1)[0][:, 1:]

    learns_BT = inside_BT & (n_BT > lags(season)[-1])
    step_BT, weight_BP, inverse_BPP = autoregress(v_BU, learns_BT, old.weight_BP, old.inverse_BPP, season, given)
    seasons_BTS = v_BU[:, V + 1 - season : V + min(T, season)].unfold(1, season, 1)
    smoothed_BTE, later_smoothed_BTE, cell_BEC = smooth(z_BT, L_BT, seasons_BTS, n_BT, inside_BT, old.cell_BEC, season)

    copies = next_copies(v_BU, n_BT, L_BT, change_BT, season)
    offset_B1 = old.offset_B.unsqueeze(1)
    copies.append(grown(copies[1], L_BT, change_BT, lowest_BT + offset_B1 > 0, offset_B1))
    copies.append(torch.where(n_BT >= lags(season)[-1], z_BT + step_BT, copies[3]))
    forecast_BTA = torch.cat([torch.stack(copies, dim=2), smoothed_BTE], dim=2)
    later = later_copies(v_BU, n_BT, L_BT, change_BT, season)
    later.append(later[3])
    later.append(copies[-1])
    later_BTA = torch.cat([torch.stack(later, dim=2), later_smoothed_BTE], dim=2)

    due_BUA = torch.cat([old.pending_BkA, later_BTA], dim=1)
    previous_BTA = torch.cat([old.forecast_BA.unsqueeze(1), forecast_BTA[:, :-1]], dim=1)
    missed_BTA = torch.where(n_BT.unsqueeze(2) > 1, z_BT.unsqueeze(2) - previous_BTA, 0.0)
    error_BT2A, observed_BT = old.error_B2A.unsqueeze(1), old.observed_B.unsqueeze(1)
    if given:
        missed_BT2A = torch.stack([missed_BTA, z_BT.unsqueeze(2) - due_BUA[:, :T]], dim=2).abs()
        error_BT2A, observed_BT = average(missed_BT2A, n_BT, inside_BT, old.error_B2A, season), n_BT
    move_BTA = forecast_BTA - z_BT.unsqueeze(2)
    input_BTI = _inputs(move_BTA, missed_BTA, error_BT2A, n_BT, observed_BT, season)

    last_B1 = length_B.unsqueeze(1) - 1
    new = Parts(
        values_BV=v_BU.gather(1, last_B1 + torch.arange(1, V + 1, device=z_BT.device)),
        forecast_BA=_rows(forecast_BTA, last_B1).squeeze(1),
        error_B2A=error_BT2A[:, -1],
        pending_BkA=_rows(due_BUA, last_B1 + torch.arange(1, k + 1, device=z_BT.device)),
        weight_BP=weight_BP,
        inverse_BPP=inverse_BPP,
        cell_BEC=cell_BEC,
        lowest_B=lowest_BT.gather(1, last_B1).squeeze(1),
        offset_B=old.offset_B,
        observed_B=before_B + length_B if given else old.observed_B,
        rolled_out_B=torch.zeros_like(before_B) if given else old.rolled_out_B + 1,
    )
    return input_BTI, forecast_BTA, pack(new)


def _inputs(
    move_BTA: Tensor,
    missed_BTA: Tensor,
    error_BT2A: Tensor,
    n_BT: Tensor,
    observed_BT: Tensor,
    season: int,
    largest: float = LARGEST_INPUT,
    smallest: float = SMALLEST_ERROR,
    log_scale: float = LOG_SCALE,
) -> Tensor:
    """Return the inputs of the network after each value, [B, T, I]."""
    error_BT2A = error_BT2A + smallest
    compared_BTA2 = torch.log(error_BT2A / error_BT2A.mean(dim=3, keepdim=True)).flatten(2)
    rolled_out_BT = n_BT - observed_BT
    counts = [
        torch.full_like(n_BT, math.log(season) / log_scale),
        (torch.log((observed_BT + 1) / season) / log_scale).expand_as(n_BT),
        (rolled_out_BT > 0).to(n_BT.dtype),
        torch.log(rolled_out_BT + 1) / log_scale,
    ]
    move_BTA, missed_BTA = move_BTA.clamp(-largest, largest), missed_BTA.clamp(-largest, largest)
    return torch.cat([move_BTA, missed_BTA, compared_BTA2, torch.stack(counts, dim=2)], dim=2)


def _rows(x_BTA: Tensor, index_BN: Tensor) -> Tensor:
    """Return the rows [B, N, A] at these times."""
    return x_BTA.gather(1, index_BN.unsqueeze(2).expand(-1, -1, x_BTA.size(2)))
