"""Calibration of the fit and of the prediction intervals on unseen windows, and their measurement on fresh windows.

Waves are calibrated with and without noise. The noise goes on after the given values: an interval is one for the next
values as they will be observed.

Shape suffixes: B windows, T values given, S steps, V levels, K stored steps.
"""

import math
import sys
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from model.fit import FEWEST, Fit, fit_of, used
from model.intervals import Intervals, conformal_radius, spread_of
from model.metadata import Calibration, Coverage, Fitting
from model.network import Network
from training.config import Config
from training.data import Floats, Source, WaveDataset, WindowDataset, Windows
from training.families import families

SHOWN_LEVELS = (50, 80, 90, 95)
LARGEST_ARRAY = 2**29  # numbers of the hidden states of all rollouts that are computed at once
STORED_STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192)  # and the last one
BINS, BIN = 12, 500  # most bins of the residual, and fewest windows in one
CLEAN = 0.3  # fraction of the waves without noise
LOUDEST_DB, QUIETEST_DB = 10.0, 60.0  # signal to noise of the other waves, uniform in between
SHOWN_DB = {"clean": math.inf, "40 dB": 40.0, "30 dB": 30.0, "20 dB": 20.0, "10 dB": 10.0}
FRESH = 8000  # waves of one level of noise that measure the coverage
FAMILY_STEPS = 24
CLEAN_QUANTILE, RATIO_QUANTILE = 0.99, 0.999


class Forecasts(NamedTuple):
    """Forecasts of windows, in units of each sequence, and what a state knows of the windows."""

    error_BS: Floats
    scale_B: Floats
    residual_B: Floats
    noise_B: Floats


class _Known(NamedTuple):
    scale: float
    observed: int
    residual: float
    noise: float


def calibrate(
    network: Network, config: Config, source: Source
) -> tuple[Intervals | None, Calibration | None, Fitting | None]:
    """Return the intervals, their description and the fit for the metadata; None if `config.interval_rollouts` is 0.

    They are calibrated on windows of `source.calibration`, and measured on windows of `source.fresh`.
    """
    if config.interval_rollouts == 0:
        return None, None, None
    horizon = min(config.interval_horizon, max(source.rollouts))
    contexts = sorted({FEWEST, *config.interval_contexts})
    forecast_by_context, snr_by_context = {}, {}
    for context in contexts:
        windows = source.calibration(context, horizon, config.interval_rollouts)
        random = np.random.default_rng((config.seed, context))
        snr_B = random.uniform(LOUDEST_DB, QUIETEST_DB, len(windows))
        snr_B[random.random(len(windows)) < CLEAN] = math.inf
        forecast_by_context[context] = forecasts(network, with_noise(windows, snr_B, random))
        snr_by_context[context] = snr_B
    fitting = _fitting(forecast_by_context, snr_by_context, isinstance(windows, WaveDataset))

    fewest = min(len(each.residual_B) for each in forecast_by_context.values())
    bins = max(1, min(BINS, fewest // BIN))
    calibration = Calibration(
        contexts=list(config.interval_contexts),
        horizon=horizon,
        steps=[step for step in STORED_STEPS if step < horizon] + [horizon],
        edges=[
            np.quantile(forecast_by_context[context].residual_B, np.arange(1, bins) / bins).tolist()
            for context in config.interval_contexts
        ],
        rollouts=fewest // bins,
        coverage=[],
    )
    radius_CNVK = [
        _radii(forecast_by_context[context], fitting, context, calibration) for context in config.interval_contexts
    ]
    intervals = Intervals.of(calibration, np.array(radius_CNVK))
    fresh = list(_fresh(network, source, calibration))
    coverage = [row for kind, context, each in fresh for row in covered(intervals, fitting, each, kind, context)]
    longest = max(config.interval_contexts)
    warned = {
        kind: 100 * float(np.mean([not fit.fits for fit in fits_of(fitting, each, context)]))
        for kind, context, each in fresh
        if context == longest
    }
    return (
        intervals,
        calibration.model_copy(update={"coverage": coverage}),
        fitting.model_copy(update={"warned": warned}),
    )


def with_noise(windows: WindowDataset, snr_B: Floats, random: np.random.Generator) -> Windows:
    """Return the windows and their continuations with white noise, if they are waves. `snr_B` is in decibels."""
    x_BT, y_BS = windows.all()
    if not isinstance(windows, WaveDataset):
        return x_BT, y_BS
    deviation_B1 = torch.from_numpy(windows.unit_B * math.sqrt(0.5) * 10 ** (-snr_B / 20))[:, None]
    return x_BT + deviation_B1 * _white(x_BT.shape, random), y_BS + deviation_B1 * _white(y_BS.shape, random)


def _white(shape: torch.Size, random: np.random.Generator) -> torch.Tensor:
    return torch.from_numpy(random.standard_normal(tuple(shape)))


@torch.inference_mode()
def forecasts(network: Network, windows: Windows) -> Forecasts:
    """Return the forecasts of windows as the service makes them, with their errors."""
    moving_B = windows[0].amax(dim=1) > windows[0].amin(dim=1)  # a constant sequence has no units to measure in
    every_x_BT, every_y_BS = (part[moving_B] for part in windows)
    context, steps = every_x_BT.size(1), every_y_BS.size(1)
    at_once = max(1, LARGEST_ARRAY // ((context + steps) * network.memory))
    parts = []
    for x_BT, y_BS in zip(torch.split(every_x_BT, at_once), torch.split(every_y_BS, at_once), strict=True):
        level_B, scale_B = network.units(x_BT)
        given_BT = network.normalise(x_BT, level_B, scale_B)
        zero_LBM = given_BT.new_zeros(network.layers, len(x_BT), network.memory)
        state_LBM, error_BT = network.encode(given_BT, torch.full([len(x_BT)], context), zero_LBM)
        forecast_BS, _ = network.rollout(state_LBM, steps, network.fold())
        error_BS = forecast_BS.double() - (y_BS - level_B[:, None]) / scale_B[:, None]
        recent_BR = error_BT[:, -used(context) :].double()
        bend_BR = recent_BR.diff(n=2, dim=1)
        residual_B = recent_BR.square().mean(dim=1).sqrt()
        parts.append((error_BS, scale_B, residual_B, (bend_BR.square().mean(dim=1) / 6).sqrt()))
    return Forecasts(*(torch.cat(columns).numpy() for columns in zip(*parts, strict=True)))


def fits_of(fitting: Fitting, each: Forecasts, context: int) -> list[Fit]:
    """Return the fit of each window."""
    rows = zip(each.scale_B.tolist(), each.residual_B.tolist(), each.noise_B.tolist(), strict=True)
    expectations = fitting.expectations
    fits = [fit_of(expectations, _Known(scale, context, residual, noise)) for scale, residual, noise in rows]
    return [fit for fit in fits if fit is not None]


def covered(intervals: Intervals, fitting: Fitting, each: Forecasts, kind: str, context: int) -> list[Coverage]:
    """Return the coverage of the intervals: at the steps where it is lowest and highest, and on average."""
    error_BS, spread_B = np.abs(each.error_BS), _spreads(fitting, each, context)
    inside = np.zeros((len(SHOWN_LEVELS), error_BS.shape[1]))
    for error_S, spread, residual in zip(error_BS, spread_B.tolist(), each.residual_B.tolist(), strict=True):
        ends = intervals.around(np.zeros(len(error_S)), spread, residual, context, SHOWN_LEVELS)
        inside += [error_S <= ends[f"hi-{level}"] for level in SHOWN_LEVELS]
    held_VS = 100 * inside / len(error_BS)
    return [
        Coverage(
            context=context,
            of=kind,
            level=level,
            lowest=float(held_S.min()),
            mean=float(held_S.mean()),
            highest=float(held_S.max()),
        )
        for level, held_S in zip(SHOWN_LEVELS, held_VS, strict=True)
    ]


def _fitting(forecast_by_context: dict[int, Forecasts], snr_by_context: dict[int, Floats], waves: bool) -> Fitting:
    """Return the expectations. Where the noise of the windows is not known, `clean` and `noisiest` are quantiles."""
    clean, noisiest = [], []
    for each, snr_B in zip(forecast_by_context.values(), snr_by_context.values(), strict=True):
        residual_B = each.residual_B
        clean.append(
            float(np.quantile(residual_B[np.isinf(snr_B)], CLEAN_QUANTILE) if waves else np.median(residual_B))
        )
        loudest_B = residual_B[snr_B < LOUDEST_DB + 1]
        noisiest.append(float(np.median(loudest_B) if waves else np.quantile(residual_B, CLEAN_QUANTILE)))
    contexts = list(forecast_by_context)
    unlimited = Fitting(
        contexts=contexts, clean=clean, noisiest=noisiest, largest_ratio=[sys.float_info.max] * len(clean)
    )
    largest = [
        float(np.quantile([fit.ratio for fit in fits_of(unlimited, each, context)], RATIO_QUANTILE))
        for context, each in forecast_by_context.items()
    ]
    return unlimited.model_copy(update={"largest_ratio": largest})


def _spreads(fitting: Fitting, each: Forecasts, context: int) -> Floats:
    """Return the spread of each window, in units of the sequence."""
    return np.array([spread_of(fit, 1.0) for fit in fits_of(fitting, each, context)]) / each.scale_B


def _radii(each: Forecasts, fitting: Fitting, context: int, about: Calibration) -> Floats:
    """Return the radii of each bin, [N, V, K]."""
    edges = (about.edges or [])[about.contexts.index(context)]
    scaled_BK = each.error_BS[:, np.array(about.steps) - 1] / _spreads(fitting, each, context)[:, None]
    bin_B = np.searchsorted(edges, each.residual_B, side="right")
    return np.stack([conformal_radius(scaled_BK[bin_B == number]) for number in range(len(edges) + 1)])


def _fresh(network: Network, source: Source, about: Calibration) -> Iterator[tuple[str, int, Forecasts]]:
    """Yield forecasts of fresh windows: the levels of noise of each context, and other families for the longest one."""
    for context in about.contexts:
        windows = source.fresh(context, about.horizon, FRESH)
        if not isinstance(windows, WaveDataset):
            yield "all", context, forecasts(network, windows.all())
            continue
        for number, (kind, snr) in enumerate(SHOWN_DB.items()):
            random = np.random.default_rng((context, number))
            yield kind, context, forecasts(network, with_noise(windows, np.full(len(windows), snr), random))
    if isinstance(windows, WaveDataset):
        for name, other in families(context, min(FAMILY_STEPS, about.horizon)).items():
            yield name, context, forecasts(network, other)
