"""What training minimises: the one-step loss and the closed-loop loss.

Shape suffixes: B batch, T time, S steps of a rollout, H hidden units, L layers.
"""

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from model.network import Network
from training.config import Config


def losses(network: Network, series_BT: Tensor, context: int, config: Config, noise: float) -> tuple[Tensor, Tensor]:
    """The one-step and the closed-loop loss, scalars, of series whose first `context` values are given.

    The one-step loss is that of each value of the window after `config.settle` of them, and of the first that follows.
    The closed-loop loss is that of the rollout over all that follows. Both are mean squares in units of the scale.

    Args:
        noise: standard deviation of what is added to the inputs, as a fraction of the scale; targets stay clean.
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
    """The least, as a fraction of the amplitude, that the largest value of such sine waves can be, [B].

    Samples are ω apart, so one of them is within ω/2 of the peak, and may be no nearer: 0.951 of the amplitude at 10
    samples a period. Only windows of some whole-numbered periods come to that, but those are the ones that people use,
    so each wave is trained at any scale from there to 1. From x_(t-1) + x_(t+1) = 2 cos(ω) x_t by least squares.
    """
    before_BT, middle_BT, after_BT = series_BT[:, :-2], series_BT[:, 1:-1], series_BT[:, 2:]
    cos_omega_B = (middle_BT * (before_BT + after_BT)).sum(dim=1) / (2 * middle_BT.square().sum(dim=1))
    return ((1 + cos_omega_B) / 2).clamp(0, 1).sqrt()  # cos(ω/2)
