"""Calibration of prediction intervals on unseen windows, and their measured coverage on fresh windows.

Shape suffixes: B windows, S steps, C lengths of context, V levels.
"""

import torch

from model.intervals import Intervals, conformal_radius
from model.metadata import Calibration, Coverage
from model.network import Network
from training.config import Config
from training.data import Floats, Source, WindowDataset

SHOWN_LEVELS = (50, 80, 90, 95)
LARGEST_ARRAY = 2**29  # numbers of the hidden states of all rollouts that are computed at once


def calibrate(network: Network, config: Config, source: Source) -> tuple[Intervals | None, Calibration | None]:
    """Return the intervals and their description for the metadata; None for both if `config.interval_rollouts` is 0.

    They are calibrated on windows of `source.calibration`. Their coverage is measured on windows of `source.fresh`.
    """
    if config.interval_rollouts == 0:
        return None, None
    horizon = min(config.interval_horizon, max(source.rollouts))
    contexts = config.interval_contexts
    fitted = [source.calibration(context, horizon, config.interval_rollouts) for context in contexts]
    radius_CVS = [conformal_radius(scaled_errors(network, windows)) for windows in fitted]
    intervals = Intervals(contexts, torch.stack([torch.from_numpy(radius_VS) for radius_VS in radius_CVS]).numpy())
    coverage = []
    for context in contexts:
        fresh = source.fresh(context, horizon, config.interval_rollouts)
        coverage += covered(intervals, scaled_errors(network, fresh), context)
    return intervals, Calibration(
        contexts=list(contexts), horizon=horizon, rollouts=min(len(windows) for windows in fitted), coverage=coverage
    )


@torch.inference_mode()
def scaled_errors(network: Network, windows: WindowDataset) -> Floats:
    """Return the errors [B, S] of rollouts, as fractions of the scale that each sequence is divided by."""
    at_once = max(1, LARGEST_ARRAY // ((windows.window + windows.horizon) * network.memory))
    scaled = []
    for rows in torch.split(torch.arange(len(windows)), at_once):
        x_BT, truth_BS = windows[rows.tolist()]
        error_BS = network.generate(x_BT, windows.horizon) - truth_BS
        scaled.append(error_BS / network.scale(x_BT).unsqueeze(1))
    return torch.cat(scaled).numpy()


def covered(intervals: Intervals, error_BS: Floats, context: int) -> list[Coverage]:
    """Return the coverage of the intervals: at the steps where it is lowest and highest, and on average."""
    rows = []
    for level in SHOWN_LEVELS:
        radius_S = intervals.radius_CVS[intervals.contexts.index(context), level - 1]
        held_S = 100 * (abs(error_BS) <= radius_S).mean(axis=0)
        rows.append(
            Coverage(
                context=context,
                level=level,
                lowest=float(held_S.min()),
                mean=float(held_S.mean()),
                highest=float(held_S.max()),
            )
        )
    return rows
