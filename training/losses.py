"""The losses that training minimises: the one-step loss and the closed-loop loss.

Shape suffixes: B batch, T time, S steps of a rollout, H hidden units, L layers.
"""

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from model.network import Network
from training.config import Config

NARROWED = 0.3  # usual share of the windows with narrower units than their range
LARGEST_GAP = 0.04  # largest part of the range that is cut off at either end
LEAST_SCALE = 0.05  # least scale of a window, as a fraction of the batch's median: a nearly constant one counts little


def losses(network: Network, series_BT: Tensor, context: int, config: Config, noise: float) -> tuple[Tensor, Tensor]:
    """Return the one-step and the closed-loop loss, scalars, of series whose first `context` values are given.

    The one-step loss covers each value of the window after the first `config.settle`, and the first value that follows.
    The closed-loop loss covers the rollout over all values that follow. Both are mean squares in units of the scale.

    Args:
        network: the network.
        series_BT: the windows and the values that follow them.
        context: number of given values.
        config: the settings.
        noise: standard deviation of the noise on the inputs, as a fraction of the scale; targets stay clean.
    """
    level_B, scale_B = narrowed_units(series_BT[:, :context], share_narrowed(config))
    target_BT = network.normalise(series_BT, level_B, scale_B.clamp_min(LEAST_SCALE * float(scale_B.median())))
    given_BT = target_BT[:, :context]
    y_BT, h_LBH = network(given_BT + noise * torch.randn_like(given_BT))
    one_step = mse_loss(y_BT[:, config.settle :], target_BT[:, config.settle + 1 : context + 1])
    if config.closed_loop == 0:
        return one_step, torch.zeros((), dtype=one_step.dtype)
    y_BS, _ = network.rollout(h_LBH, series_BT.size(1) - context, network.fold())
    return one_step, mse_loss(y_BS, target_BT[:, context:])


def narrowed_units(
    x_BT: Tensor, share: float = NARROWED, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Return the middle and the half of the range [B] of each window, or, for a share of them, of a narrower range.

    Samples miss the peaks of a wave by less than half a step. Only windows of some whole-numbered periods miss all of
    them by as much: 4 % of the range on either side, at 8 samples a period. People use such periods, so training has
    to see such units often.
    """
    low_B, high_B = x_BT.amin(dim=1), x_BT.amax(dim=1)
    narrowed_B, below_B, above_B = torch.rand(3, len(x_BT), generator=generator)
    gap_B = torch.where(narrowed_B < share, LARGEST_GAP * (high_B - low_B), 0.0)
    low_B, high_B = low_B + gap_B * below_B, high_B - gap_B * above_B
    return (low_B + high_B) / 2, (high_B - low_B) / 2


def share_narrowed(config: Config) -> float:
    """Return the share of windows with narrower units: none of a curve with one period.

    Its windows miss their peaks in the same few ways everywhere, so training sees all of them anyway.
    """
    shortest, longest = config.waves.period
    return NARROWED if config.data is not None or shortest < longest else 0.0
