"""The layout of the anchors' state: one flat vector for a sequence. Its length depends on the season.

Values, pending forecasts and seasons are shifted by each value, so the meaning of an element never depends on how many
values there have been.

Shape suffixes: B batch, K the whole state, V values, A anchors, k steps ahead, P inputs of the autoregression, E
smoothing cells, C numbers of a cell (2 + season).
"""

from typing import NamedTuple

import torch
from torch import Tensor

from model.anchors import ANCHORS, RIDGE, SEASONAL_WEIGHT, lags, remembered, smoothing_rates, steps_ahead


class Parts(NamedTuple):
    """The parts of the states of a batch, in the order of the flat vector. `layout` says where each part lies."""

    values_BV: Tensor
    """The last values, as many as the longest lag needs, the newest last. The first one stands in for any before."""

    forecast_BA: Tensor
    """The last forecast of each anchor."""

    error_B2A: Tensor
    """The running errors of each anchor, m and m'."""

    pending_BkA: Tensor
    """The later forecasts that are not yet due, the first one due first. They are 0 before the first value."""

    weight_BP: Tensor
    """The weights w of the autoregression; that of the constant is last."""

    inverse_BPP: Tensor
    """The matrix P of the recursive least squares."""

    cell_BEC: Tensor
    """Level, trend and season of each smoothing cell. The season begins with the next value's place in it."""

    lowest_B: Tensor
    """The lowest value so far."""

    offset_B: Tensor
    """The level divided by the scale, in the caller's units. It never changes."""

    observed_B: Tensor
    """The number of values given."""

    rolled_out_B: Tensor
    """The number of forecasts fed back after the last of them."""


class Layout(NamedTuple):
    """The place of each part in the flat vector. `Parts` describes them."""

    values: slice
    forecast: slice
    error: slice
    pending: slice
    weight: slice
    inverse: slice
    cell: slice
    lowest: slice
    offset: slice
    observed: slice
    rolled_out: slice

    @property
    def size(self) -> int:
        """Return the length of the flat vector, K."""
        return int(self.rolled_out.stop)


def layout(season: int) -> Layout:
    """Return the layout of the state of a sequence with this season."""
    ends = [0]
    for size in sizes(season):
        ends.append(ends[-1] + size)
    return Layout(*map(slice, ends, ends[1:]))


def sizes(season: int, anchors: int = len(ANCHORS)) -> list[int]:
    """Return the number of elements of each part.

    TorchScript knows no global numbers, so here and elsewhere they are the defaults of arguments.
    """
    p, cells = len(lags(season)) + 1, len(smoothing_rates())
    values = remembered(season)
    return [values, anchors, 2 * anchors, steps_ahead(season) * anchors, p, p * p, cells * (2 + season), 1, 1, 1, 1]


def start(offset_B: Tensor, season: int, ridge: float = RIDGE, seasonal_weight: float = SEASONAL_WEIGHT) -> Tensor:
    """Return the states before the first value, [B, K]. `offset_B` are levels divided by scales."""
    state_BK = offset_B.new_zeros(offset_B.size(0), sum(sizes(season)))
    parts, lag = unpack(state_BK, season), lags(season)
    parts.offset_B.copy_(offset_B)
    parts.inverse_BPP.copy_(torch.eye(len(lag) + 1, dtype=offset_B.dtype, device=offset_B.device) / ridge)
    if season > 1:
        parts.weight_BP[:, lag.index(season)] = seasonal_weight
    return state_BK


def unpack(state_BK: Tensor, season: int) -> Parts:
    """Return the parts of flat states. They are views: what is written into them is written into the states."""
    flat = state_BK.split_with_sizes(sizes(season), dim=1)
    values, forecast, error, pending, weight, inverse, cell, lowest, offset, observed, rolled_out = flat
    B, p = weight.size()
    return Parts(
        values,
        forecast,
        error.view(B, 2, -1),
        pending.view(B, steps_ahead(season), -1),
        weight,
        inverse.view(B, p, p),
        cell.view(B, -1, 2 + season),
        lowest.squeeze(1),
        offset.squeeze(1),
        observed.squeeze(1),
        rolled_out.squeeze(1),
    )


def pack(parts: Parts) -> Tensor:
    """Return flat states, [B, K]."""
    B = parts.values_BV.size(0)
    return torch.cat(
        [
            parts.values_BV,
            parts.forecast_BA,
            parts.error_B2A.reshape(B, -1),
            parts.pending_BkA.reshape(B, -1),
            parts.weight_BP,
            parts.inverse_BPP.reshape(B, -1),
            parts.cell_BEC.reshape(B, -1),
            parts.lowest_B.unsqueeze(1),
            parts.offset_B.unsqueeze(1),
            parts.observed_B.unsqueeze(1),
            parts.rolled_out_B.unsqueeze(1),
        ],
        dim=1,
    )
