"""Forecasts of many windows as the service makes them: their errors, and what the values given say of the fit.

Shape suffixes: B windows, T values given, S steps, R errors of the last values, L layers, M memory.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.anchored import AnchoredNetwork
from model.fit import Fit, fit_of, used
from model.intervals import growths_of, spread_of
from model.metadata import Architecture, Fitting, Metadata
from model.network import Network
from model.runtime.anchored import AnchoredRuntime
from training.data import Floats, WaveDataset, Windows
from training.prior.source import Batch

LARGEST_ARRAY = 2**29  # numbers of the hidden states of all rollouts that are computed at once


class Known(NamedTuple):
    """The part of a runtime's state that fit and intervals need."""

    scale: float
    observed: int
    residual: float
    noise: float
    later: float


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
    later_B: Floats | None = None
    """Later error of the anchors, as in `State`. None for networks without anchors."""

    @property
    def outer_B(self) -> Floats:
        """Return what chooses the outer bins of intervals: the growth of the errors, or the noise without anchors."""
        return self.noise_B if self.later_B is None else growths_of(self.later_B, self.residual_B)

    @property
    def states(self) -> list[Known]:
        """Return what the state of each window knows of it."""
        later_B = np.zeros(len(self)) if self.later_B is None else self.later_B
        columns = (self.scale_B, self.residual_B, self.noise_B, later_B)
        rows = zip(*(column_B.tolist() for column_B in columns), strict=True)
        return [Known(scale, self.context, *rest) for scale, *rest in rows]

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.error_BS)


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
    rows = (
        (x_T, y_S, batch.season)
        for batch in batches
        for x_T, y_S in zip(batch.x_BT.tolist(), batch.y_BS.numpy(), strict=True)
    )
    return anchored_forecasts(runtime, context, rows)


def anchored_forecasts(
    runtime: AnchoredRuntime, context: int, rows: Iterable[tuple[Sequence[float], Floats, int]]
) -> Forecasts:
    """Return the forecasts of all sequences but constant ones.

    A row has values given, values that follow, and a season. All rows have as many values that follow.
    """
    errors, known, steps = [], [], 0
    for x_T, y_S, season in rows:
        values_S, state = runtime.forecast(x_T, len(y_S), season)
        steps = len(y_S)
        if state.scale > 0:
            errors.append((values_S - y_S) / state.scale)
            known.append((state.scale, state.residual, state.noise, state.later))
    columns = np.array(known).reshape(len(known), 4).T
    return Forecasts(context, np.full(len(known), math.nan), np.array(errors).reshape(len(known), steps), *columns)


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
    return [fit_of(expectations, state) for state in each.states]


def spreads_of(fitting: Fitting, each: Forecasts) -> Floats:
    """Return the spread of each window [B], in units of the sequence."""
    fits, by_growth = fits_of(fitting, each), each.later_B is not None
    rows = zip(fits, each.scale_B.tolist(), strict=True)
    return np.array([spread_of(fit, scale, by_growth) / scale for fit, scale in rows])


def warned(fitting: Fitting, each: Forecasts) -> float:
    """Return how many per cent of the windows do not fit."""
    return 100 * float(np.mean([fit is not None and not fit.fits for fit in fits_of(fitting, each)]))
