"""The training of an anchored network on a batch of tasks: its open loop, its closed loop and their losses.

The anchors over the values given are machine code (`training/observed.py`). Gradients flow through the network, and in
the closed loop through the anchors too.

Shape suffixes: B batch, T time, S steps of a rollout, A anchors, I inputs of the network.
"""

import torch
from torch import Tensor

from model.anchored import AnchoredNetwork
from training.observed import observe
from training.prior.source import LEAST_CHANGE, Batch

REMEMBERED = 260
"""Most given values that the layers see in training, the last ones. The anchors see all of them."""

LARGEST_ERROR = 10.0
FIRST_COUNTED = 8
"""Number of first values whose predictions do not count in the one-step loss, where there is no season."""


def losses(network: AnchoredNetwork, batch: Batch, closed_loop: bool = True) -> tuple[Tensor, Tensor]:
    """Return the one-step and the closed-loop loss, scalars, of a batch.

    z are the values in the units of the values given (`model/units.py`), and s is the season told. Errors are divided
    by the mean change of the values given over a season, as in MASE (Hyndman and Koehler, *International Journal of
    Forecasting* 22(4), 2006), and no error counts more than 10:

        m = max(mean_t |z_t - z_(t-s)|, 0.02)        e_t = min(|ẑ_t - z_t| / m, 10)

        one-step loss = mean of e over series and values given        E = mean of e over the rollout of a series
        closed-loop loss = mean over series of ½ E + log(1 + 20 E)

    The logarithm keeps a series that is hard to forecast from outweighing the others. The one-step loss leaves out the
    first two seasons, or half of the values if that is less.

    Args:
        network: the network.
        batch: the series, with at least 3 values given.
        closed_loop: False for a closed-loop loss of 0, which needs no rollout.
    """
    level_B, scale_B = network.units(batch.x_BT)
    scale_B = torch.where(scale_B > 0, scale_B, 1.0)
    z_BT = (batch.x_BT - level_B[:, None]) / scale_B[:, None]
    steps = batch.y_BS.size(1) if closed_loop else 0
    after_BT, z_BS = _run(network, z_BT, level_B / scale_B, batch.season, steps, REMEMBERED, torch.float32)
    context = z_BT.size(1)
    lag = naive_season(batch.season, context)
    change_B1 = (z_BT[:, lag:] - z_BT[:, :-lag]).abs().mean(dim=1, keepdim=True).clamp_min(LEAST_CHANGE)

    counted = min(2 * batch.season if batch.season > 1 else FIRST_COUNTED, context // 2)
    counted = max(counted, context - after_BT.size(1))
    after_BT = after_BT[:, counted - context : -1]
    one_step = _errors(after_BT, z_BT[:, counted + 1 :], change_B1).mean()
    if not closed_loop:
        return one_step, torch.zeros_like(one_step)
    truth_BS = (batch.y_BS - level_B[:, None]) / scale_B[:, None]
    error_B = _errors(z_BS, truth_BS, change_B1).mean(dim=1)
    return one_step, (0.5 * error_B + torch.log1p(20 * error_B)).mean()


@torch.inference_mode()
def forecast(network: AnchoredNetwork, x_BT: Tensor, steps: int, season: int) -> Tensor:
    """Return the next `steps` values [B, S] of sequences in double precision, as `generate` does, but faster."""
    level_B, scale_B = network.units(x_BT)
    divisor_B = torch.where(scale_B > 0, scale_B, 1.0)
    z_BT, offset_B = (x_BT - level_B[:, None]) / divisor_B[:, None], torch.where(scale_B > 0, level_B / divisor_B, 0.0)
    _, z_BS = _run(network, z_BT, offset_B, season, steps, z_BT.size(1), torch.float64)
    return z_BS.double() * scale_B[:, None] + level_B[:, None]


def naive_season(season: int, context: int) -> int:
    """Return the season that seasonal naive and the scale of errors use: 1 where hardly a season is given."""
    return season if season + 2 < context else 1


def _run(
    network: AnchoredNetwork,
    z_BT: Tensor,
    offset_B: Tensor,
    season: int,
    steps: int,
    remembered: int,
    precision: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Return the prediction of the value after each of the last `remembered` values given, and a rollout [B, S].

    `precision` is that of the anchors in the closed loop, whose gradients need no more than single precision.
    """
    input_BTI, forecast_BTA, anchors_BK = observe(z_BT, offset_B, season)
    zero_LBM = torch.zeros(network.layers, len(z_BT), network.memory)
    seen_BTI = input_BTI[:, -remembered:].float()
    h_BTH, state_LBM = network.run(seen_BTI, zero_LBM, network.weights(0, network.layers))
    after_BT = network.mix(network.readout(h_BTH), forecast_BTA[:, -remembered:].float())
    if steps == 0:
        return after_BT, after_BT[:, :0]
    z_BS, _, _ = network.rollout(state_LBM, steps, season, anchors_BK.to(precision))
    return after_BT, z_BS


def _errors(z_BT: Tensor, truth_BT: Tensor, unit_B1: Tensor) -> Tensor:
    """Return absolute errors in this unit, each at most `LARGEST_ERROR`."""
    return ((z_BT - truth_BT).abs() / unit_B1).clamp_max(LARGEST_ERROR)
