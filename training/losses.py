"""The losses that training minimises: the one-step loss and the closed-loop loss.

Shape suffixes: B batch, T time, S steps of a rollout, H hidden units, L layers.
"""

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from model.network import Network
from training.config import Config


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
    scale_B = network.scale(series_BT[:, :context])
    if not network.fixed_scale:
        scale_B = scale_B * (1 - (1 - least_peak(series_BT)) * torch.rand_like(scale_B))
    target_BT = network.normalise(series_BT, scale_B)
    given_BT = target_BT[:, :context]
    y_BT, h_LBH = network(given_BT + noise * torch.randn_like(given_BT))
    one_step = mse_loss(y_BT[:, config.settle :], target_BT[:, config.settle + 1 : context + 1])
    if config.closed_loop == 0:
        return one_step, torch.zeros((), dtype=one_step.dtype)
    y_BS, _ = network.rollout(h_LBH, series_BT.size(1) - context, network.fold())
    return one_step, mse_loss(y_BS, target_BT[:, context:])


def least_peak(series_BT: Tensor) -> Tensor:
    """Return the smallest possible largest sample of each sine wave, as a fraction of its amplitude, [B].

    Samples are ω apart. The sample nearest to the peak is therefore at most ω/2 away from it: at 10 samples a period,
    the largest sample can be as small as 0.951 of the amplitude. Only windows of some whole-numbered periods reach this
    limit, but people use such periods. Each wave is therefore trained at any scale from there to 1. The frequency
    follows from x_(t-1) + x_(t+1) = 2 cos(ω) x_t by least squares.
    """
    before_BT, middle_BT, after_BT = series_BT[:, :-2], series_BT[:, 1:-1], series_BT[:, 2:]
    cos_omega_B = (middle_BT * (before_BT + after_BT)).sum(dim=1) / (2 * middle_BT.square().sum(dim=1))
    return ((1 + cos_omega_B) / 2).clamp(0, 1).sqrt()  # cos(ω/2)
