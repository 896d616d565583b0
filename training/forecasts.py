"""Forecasts of many windows as the service makes them: their errors, and what the values given say of the fit.

Shape suffixes: B windows, T values given, S steps, R errors of the last values, L layers, M memory.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.anchored import AnchoredNetwork
from model.fit import Fit, fit_of, used
from model.intervals import spread_of
from model.metadata import Architecture, Fitting, Metadata
from model.network import Network
from model.runtime.anchored import AnchoredRuntime
from training.data import Floats, WaveDataset, Windows
from training.prior.source import Batch

LARGEST_ARRAY = 2**29  # numbers of the hidden states of all rollouts that are computed at once


@dataclass(frozen=True)
class Forecasts:
    """Forecasts of windows with equally many values. Errors, residual and noise are in units of each sequence."""

    context: int
    """Number of values given."""

    snr_B: Floats
    """Signal to noise of each window in decibels: infinite for a clean wave, NaN where it is not known."""

    error_BS: Floats
    scale_B: Floats
    residual_B: Floats
    noise_B: Floats

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.error_BS)


class _State(NamedTuple):
    """The part of a runtime's state that the fit needs."""

    scale: float
    observed: int
    residual: float
    noise: float


def noisy(waves: WaveDataset, snr_B: Floats, random: np.random.Generator) -> Windows:
    """Return waves and their continuations with white noise of these signal-to-noise ratios, in decibels."""
    x_BT, y_BS = waves.all()
    deviation_B1 = torch.from_numpy(waves.unit_B * math.sqrt(0.5) * 10 ** (-snr_B / 20))[:, None]
    return x_BT + deviation_B1 * _white(x_BT.shape, random), y_BS + deviation_B1 * _white(y_BS.shape, random)


def _white(shape: torch.Size, random: np.random.Generator) -> Tensor:
    return torch.from_numpy(random.standard_normal(tuple(shape)))


@torch.inference_mode()
def forecasts(network: Network, windows: Windows, snr_B: Floats | None = None) -> Forecasts:
    """Return the forecasts of all windows but constant ones, which have no units to measure in."""
    moving_B = windows[0].amax(dim=1) > windows[0].amin(dim=1)
    every_x_BT, every_y_BS = (part[moving_B] for part in windows)
    snr_B = np.full(len(moving_B), math.nan) if snr_B is None else snr_B
    context, steps = every_x_BT.size(1), every_y_BS.size(1)
    at_once = max(1, LARGEST_ARRAY // ((context + steps) * network.memory))
    parts = [(every_y_BS[:0], *3 * (every_x_BT[:0, 0],))]  # in case all windows are constant
    for first in range(0, len(every_x_BT), at_once):
        chosen = slice(first, first + at_once)
        parts.append(_measured(network, every_x_BT[chosen], every_y_BS[chosen]))
    columns = (torch.cat(columns).numpy() for columns in zip(*parts, strict=True))
    return Forecasts(context, snr_B[moving_B.numpy()], *columns)


def seasonal_forecasts(network: AnchoredNetwork, context: int, batches: Iterable[Batch]) -> Forecasts:
    """Return the forecasts of all series but constant ones. The compiled runtime makes them, a hundred times as fast as
    PyTorch.
    """
    architecture = Architecture(inputs="anchors", cell=network.cell, hidden=network.hidden, layers=network.layers)
    about = Metadata(
        name="",
        version="",
        architecture=architecture,
        normalisation=network.normalisation,
        data={},
        training={},
        errors={},
        torch_version=torch.__version__,
    )
    runtime = AnchoredRuntime(network, about)
    errors, states = [], []
    for batch in batches:
        for x_T, y_S in zip(batch.x_BT.tolist(), batch.y_BS.numpy(), strict=True):
            values_S, state = runtime.forecast(x_T, len(y_S), batch.season)
            if state.scale > 0:
                errors.append((values_S - y_S) / state.scale)
                states.append(state)
    scale_B, residual_B, noise_B = np.array([(state.scale, state.residual, state.noise) for state in states]).T
    return Forecasts(context, np.full(len(states), math.nan), np.array(errors), scale_B, residual_B, noise_B)


def _measured(network: Network, x_BT: Tensor, y_BS: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the errors [B, S], the scale, the residual and the noise [B] of windows. `Forecasts` has their units."""
    level_B, scale_B = network.units(x_BT)
    given_BT = network.normalise(x_BT, level_B, scale_B)
    length_B = torch.full([len(x_BT)], x_BT.size(1))
    zero_LBM = given_BT.new_zeros(network.layers, len(x_BT), network.memory)
    state_LBM, error_BT = network.encode(given_BT, length_B, zero_LBM)
    forecast_BS, _ = network.rollout(state_LBM, y_BS.size(1), network.fold())
    error_BS = forecast_BS.double() - (y_BS - level_B[:, None]) / scale_B[:, None]
    recent_BR = error_BT[:, -used(x_BT.size(1)) :].double()  # the formulas are those of `model/fit.py`
    residual_B = recent_BR.square().mean(dim=1).sqrt()
    bend_BR = recent_BR.diff(n=2, dim=1)
    noise_B = (bend_BR.square().sum(dim=1) / (6 * max(1, bend_BR.size(1)))).sqrt()
    return error_BS, scale_B, residual_B, noise_B


def fits_of(fitting: Fitting, each: Forecasts) -> list[Fit | None]:
    """Return the fit of each window; None if they are too short for one."""
    expectations = fitting.expectations
    rows = zip(each.scale_B.tolist(), each.residual_B.tolist(), each.noise_B.tolist(), strict=True)
    return [fit_of(expectations, _State(scale, each.context, residual, noise)) for scale, residual, noise in rows]


def spreads_of(fitting: Fitting, each: Forecasts) -> Floats:
    """Return the spread of each window [B], in units of the sequence."""
    fits = fits_of(fitting, each)
    return np.array([spread_of(fit, scale) / scale for fit, scale in zip(fits, each.scale_B.tolist(), strict=True)])


def warned(fitting: Fitting, each: Forecasts) -> float:
    """Return how many per cent of the windows do not fit."""
    return 100 * float(np.mean([fit is not None and not fit.fits for fit in fits_of(fitting, each)]))
