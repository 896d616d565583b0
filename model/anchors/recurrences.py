"""The anchors that learn and the running errors, for a batch: they take one value after the other.

TorchScript compiles these functions. Shape suffixes: B batch, T time, A anchors, P inputs of the autoregression, E
smoothing cells, C numbers of a cell (2 + season).
"""

import torch
from torch import Tensor

from model.anchors import (
    CONSTANT_INPUT,
    ERROR_WINDOW,
    FORGETTING,
    LARGEST_STEP,
    RIDGE,
    lags,
    smoothing_rates,
    steps_ahead,
)
from model.anchors.copies import ago


def autoregress(
    v_BU: Tensor,
    learns_BT: Tensor,
    w_BP: Tensor,
    P_BPP: Tensor,
    season: int,
    given: bool,
    constant: float = CONSTANT_INPUT,
    largest: float = LARGEST_STEP,
) -> tuple[Tensor, Tensor, Tensor]:
    """Give values to the autoregression.

    Args:
        v_BU: the values before, and the values.
        learns_BT: true where w is learned from the value.
        w_BP: the weights before.
        P_BPP: the matrix before.
        season: the season.
        given: false for a forecast that is fed back; nothing is learned from it.
        constant: the input that is constant.
        largest: the limit of wᵀx.

    Returns:
        wᵀx after each value [B, T], and w and P after the last one.
    """
    T = learns_BT.size(1)
    z_BU = ago(v_BU, 1, T + 1)
    inputs = [ago(v_BU, lag, T + 1) - z_BU for lag in lags(season)]
    inputs.append(torch.full_like(z_BU, constant))
    x_BUP, w_BTP = torch.stack(inputs, dim=2), w_BP.unsqueeze(1)
    if given:
        w_BTP, P_BPP = least_squares(x_BUP[:, :T], z_BU[:, 1:] - z_BU[:, :T], learns_BT, w_BP, P_BPP)
    return (w_BTP * x_BUP[:, 1:]).sum(2).clamp(-largest, largest), w_BTP[:, -1], P_BPP


def least_squares(
    x_BTP: Tensor,
    y_BT: Tensor,
    learns_BT: Tensor,
    w_BP: Tensor,
    P_BPP: Tensor,
    ridge: float = RIDGE,
    forgetting: float = FORGETTING,
) -> tuple[Tensor, Tensor]:
    """Learn weights by recursive least squares.

    Args:
        x_BTP: the inputs.
        y_BT: the outputs, which wᵀx approximates.
        learns_BT: false where there is nothing to learn; w and P stay there.
        w_BP: the weights before.
        P_BPP: the matrix before.
        ridge: the inverse of the elements of P at first.
        forgetting: the forgetting factor.

    Returns:
        The weights after each time [B, T, P] and the matrix after the last one [B, P, P].
    """
    first_trace = x_BTP.size(2) / ridge
    x_BTP = torch.where(learns_BT.unsqueeze(2), x_BTP, 0.0)  # an input of zero teaches nothing
    weights: list[Tensor] = []
    for t in range(x_BTP.size(1)):
        x_BP = x_BTP[:, t]
        forgets_B = learns_BT[:, t] & (P_BPP.diagonal(dim1=1, dim2=2).sum(1) <= first_trace)
        lambda_B = torch.where(forgets_B, forgetting, torch.ones_like(x_BP[:, 0]))
        Px_BP = (P_BPP @ x_BP.unsqueeze(2)).squeeze(2)
        total_B1 = (lambda_B + (x_BP * Px_BP).sum(1)).unsqueeze(1)
        w_BP = w_BP + Px_BP * ((y_BT[:, t] - (w_BP * x_BP).sum(1)).unsqueeze(1) / total_B1)
        outer_BPP = Px_BP.unsqueeze(2) * Px_BP.unsqueeze(1)  # symmetric to the last bit, so P stays symmetric
        P_BPP = (P_BPP - outer_BPP / total_B1.unsqueeze(2)) / lambda_B.view(-1, 1, 1)
        weights.append(w_BP)
    return torch.stack(weights, dim=1), P_BPP


def smooth(
    z_BT: Tensor, L_BT: Tensor, seasons_BTS: Tensor, n_BT: Tensor, inside_BT: Tensor, cell_BEC: Tensor, season: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Give values to the smoothing cells.

    Args:
        z_BT: the values.
        L_BT: the mean of the last season at each time.
        seasons_BTS: the last season of values at each of the first times, as many as a season has, the newest last.
        n_BT: the number of values so far.
        inside_BT: false for padding.
        cell_BEC: the cells before.
        season: the season.

    Returns:
        The forecasts of the next and of the k-th value [B, T, E], and the cells after the last value. A forecast before
        the first season has been seen is the last value.
    """
    k = steps_ahead(season)
    rates_4E = torch.tensor(smoothing_rates(), dtype=z_BT.dtype, device=z_BT.device).T
    alpha_E, beta_E, phi_E, gamma_E = rates_4E.unbind(0)
    if season == 1:
        gamma_E = torch.zeros_like(gamma_E)
    z_BT1, inside_BT11 = z_BT.unsqueeze(2), inside_BT[..., None, None]
    started_BT11 = (n_BT > season)[..., None, None]
    begun_BTC = torch.cat([L_BT.unsqueeze(2), torch.zeros_like(z_BT1)], dim=2)[:, : seasons_BTS.size(1)]
    begun_BTC = torch.cat([begun_BTC, seasons_BTS - begun_BTC[:, :, :1]], dim=2)
    cells: list[Tensor] = []
    needed = torch.tensor([0, 1, 2, 2 + (k - 1) % season], device=z_BT.device)
    for t in range(z_BT.size(1)):
        b_BE, S_BE = phi_E * cell_BEC[:, :, 1], cell_BEC[:, :, 2]
        l_BE = cell_BEC[:, :, 0] + b_BE
        e_BE = z_BT1[:, t] - (l_BE + S_BE)
        level_trend = torch.stack([l_BE + alpha_E * e_BE, b_BE + beta_E * e_BE], dim=2)
        new_BEC = torch.cat([level_trend, cell_BEC[:, :, 3:], (S_BE + gamma_E * e_BE).unsqueeze(2)], dim=2)
        if t < season:  # some rows may not have seen a whole season
            new_BEC = torch.where(started_BT11[:, t], new_BEC, begun_BTC[:, t].unsqueeze(1))
        cell_BEC = torch.where(inside_BT11[:, t], new_BEC, cell_BEC)
        cells.append(cell_BEC.index_select(2, needed))
    l_BTE, b_BTE, next_BTE, later_BTE = torch.stack(cells, dim=1).unbind(3)
    damped_E = torch.zeros_like(phi_E)
    for step in range(1, k + 1):
        damped_E = damped_E + phi_E**step
    full_BT1 = (n_BT >= season).unsqueeze(2)
    next_BTE = torch.where(full_BT1, l_BTE + phi_E * b_BTE + next_BTE, z_BT1)
    return next_BTE, torch.where(full_BT1, l_BTE + damped_E * b_BTE + later_BTE, z_BT1), cell_BEC


def average(
    missed_BT2A: Tensor,
    n_BT: Tensor,
    inside_BT: Tensor,
    error_B2A: Tensor,
    season: int,
    window: float = ERROR_WINDOW,
) -> Tensor:
    """Return the running errors m and m' after each value, [B, T, 2, A].

    Args:
        missed_BT2A: the errors of the forecasts of each value, of the last one and of the k-th before.
        n_BT: the number of values so far.
        inside_BT: false for padding.
        error_B2A: the running errors before.
        season: the season.
        window: the number of values that a running error remembers.
    """
    late_BT = n_BT - (steps_ahead(season) + season)
    weight_BT = 1 / (n_BT - season).clamp(1, window)
    late_weight_BT = torch.where(late_BT > 0, 1 / late_BT.clamp(1, window), 0.0)
    weight_BT21 = torch.where(inside_BT.unsqueeze(2), torch.stack([weight_BT, late_weight_BT], dim=2), 0.0).unsqueeze(3)
    errors: list[Tensor] = []
    for t in range(n_BT.size(1)):
        error_B2A = torch.lerp(error_B2A, missed_BT2A[:, t], weight_BT21[:, t])
        errors.append(error_B2A)
    return torch.stack(errors, dim=1)
