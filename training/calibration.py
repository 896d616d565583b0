"""Calibration of the fit and of the prediction intervals on unseen windows, and their measurement on fresh windows.

`model/fit.py` and `model/intervals.py` describe what is calibrated. Waves are calibrated with and without noise. The
noise goes on after the given values: an interval is one for the next values as they will be observed.

Shape suffixes: B windows, S steps, C lengths of context, N bins, V levels, K stored steps.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from model.fit import FEWEST
from model.intervals import Intervals, conformal_radius
from model.metadata import Calibration, Coverage, Fitting
from model.network import Network
from training.config import Config
from training.data import Floats, Source, WaveDataset
from training.families import families
from training.forecasts import Forecasts, fits_of, forecasts, noisy, spreads_of, warned

SHOWN_LEVELS = (50, 80, 90, 95)
STORED_STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192)  # and the last one
BINS, BIN = 12, 500  # most bins of the residual, and fewest windows in one
CLEAN = 0.3  # fraction of the waves without noise
LOUDEST_DB, QUIETEST_DB = 10.0, 60.0  # signal to noise of the other waves, uniform in between
SHOWN_DB = {"clean": math.inf, "40 dB": 40.0, "30 dB": 30.0, "20 dB": 20.0, "10 dB": 10.0}
FRESH = 8000  # most waves of one level of noise that measure the coverage
FAMILY_STEPS = 24
CLEAN_QUANTILE, RATIO_QUANTILE = 0.99, 0.999


def calibrate(
    network: Network, config: Config, source: Source
) -> tuple[Intervals | None, Calibration | None, Fitting | None]:
    """Return the intervals, their description and the fit for the metadata.

    They are calibrated on windows of `source.calibration`, and measured on windows of `source.fresh`. All are None if
    `config.interval_rollouts` is 0, or if the windows of some length are all constant.
    """
    if config.interval_rollouts == 0:
        return None, None, None
    horizon = min(config.interval_horizon, max(source.rollouts))
    contexts = sorted({FEWEST, *config.interval_contexts})
    known = {context: _known(network, config, source, context, horizon) for context in contexts}
    if not all(map(len, known.values())):
        return None, None, None
    fitting = _fitting([each for each in known.values() if each.context >= FEWEST])
    intervals, calibration = _intervals([known[context] for context in config.interval_contexts], fitting, horizon)
    usual, count = usual_context(calibration.contexts, config.context_evaluated), min(FRESH, config.interval_rollouts)
    fresh = [(kind, each) for kind, each in _fresh(network, source, calibration, usual, count) if len(each)]
    coverage = [row for kind, each in fresh for row in covered(intervals, fitting, each, kind)]
    warnings = {kind: warned(fitting, each) for kind, each in fresh if each.context == usual}
    return (
        intervals,
        calibration.model_copy(update={"coverage": coverage}),
        fitting.model_copy(update={"warned": warnings}),
    )


def usual_context(contexts: Sequence[int], evaluated: int) -> int:
    """Return the length of context at which kinds of sequences are compared: the one nearest below `evaluated`."""
    return max((context for context in contexts if context <= evaluated), default=contexts[0])


def covered(intervals: Intervals, fitting: Fitting, each: Forecasts, kind: str) -> list[Coverage]:
    """Return the coverage of the intervals: at the steps where it is lowest and highest, and on average."""
    error_BS, spread_B = np.abs(each.error_BS), spreads_of(fitting, each)
    inside_VS = np.zeros((len(SHOWN_LEVELS), error_BS.shape[1]))
    for error_S, spread, residual in zip(error_BS, spread_B.tolist(), each.residual_B.tolist(), strict=True):
        ends = intervals.around(np.zeros(len(error_S)), spread, residual, each.context, SHOWN_LEVELS)
        inside_VS += [error_S <= ends[f"hi-{level}"] for level in SHOWN_LEVELS]
    return [
        Coverage(
            context=each.context,
            of=kind,
            level=level,
            lowest=float(held_S.min()),
            mean=float(held_S.mean()),
            highest=float(held_S.max()),
        )
        for level, held_S in zip(SHOWN_LEVELS, 100 * inside_VS / len(each), strict=True)
    ]


def _known(network: Network, config: Config, source: Source, context: int, horizon: int) -> Forecasts:
    """Return forecasts of the windows that calibrate a length of context."""
    windows = source.calibration(context, horizon, config.interval_rollouts)
    if not isinstance(windows, WaveDataset):
        return forecasts(network, windows.all())
    random = np.random.default_rng((config.seed, context))
    snr_B = random.uniform(LOUDEST_DB, QUIETEST_DB, len(windows))
    snr_B[random.random(len(windows)) < CLEAN] = math.inf
    return forecasts(network, noisy(windows, snr_B, random), snr_B)


def _fresh(
    network: Network, source: Source, about: Calibration, usual: int, count: int
) -> Iterator[tuple[str, Forecasts]]:
    """Yield forecasts of fresh windows, `count` of a kind: the levels of noise of each context, and other families for
    the `usual` one.
    """
    for context in about.contexts:
        windows = source.fresh(context, about.horizon, count)
        if not isinstance(windows, WaveDataset):
            yield "all", forecasts(network, windows.all())
            continue
        for number, (kind, snr) in enumerate(SHOWN_DB.items()):
            random, snr_B = np.random.default_rng((context, number)), np.full(len(windows), snr)
            yield kind, forecasts(network, noisy(windows, snr_B, random), snr_B)
    if isinstance(windows, WaveDataset):
        for name, other in families(usual, min(FAMILY_STEPS, about.horizon)).items():
            yield name, forecasts(network, other)


def _fitting(known: Sequence[Forecasts]) -> Fitting:
    """Return the expectations of the fit, for each length of context.

    Where no window is known to be clean, or none to be noisy, `clean` is the median of all residuals, and `noisiest`
    a high quantile.
    """
    clean, noisiest = [], []
    for each in known:
        clean_B, loudest_B = (
            each.residual_B[chosen_B] for chosen_B in (np.isinf(each.snr_B), each.snr_B < LOUDEST_DB + 1)
        )
        clean.append(float(np.quantile(clean_B, CLEAN_QUANTILE) if len(clean_B) else np.median(each.residual_B)))
        noisiest.append(float(np.median(loudest_B) if len(loudest_B) else np.quantile(each.residual_B, CLEAN_QUANTILE)))
    contexts = [each.context for each in known]
    unlimited = Fitting(contexts=contexts, clean=clean, noisiest=noisiest, largest_ratio=[0.0] * len(contexts))
    ratios = [[fit.ratio for fit in fits_of(unlimited, each) if fit] for each in known]
    return unlimited.model_copy(update={"largest_ratio": [float(np.quantile(each, RATIO_QUANTILE)) for each in ratios]})


def _intervals(known: Sequence[Forecasts], fitting: Fitting, horizon: int) -> tuple[Intervals, Calibration]:
    """Return the intervals for each length of context, and their description without a coverage."""
    steps = [step for step in STORED_STEPS if step < horizon] + [horizon]
    edges, rollouts = _bins([each.residual_B for each in known])
    radius_CNVK = []
    for each, inner in zip(known, edges, strict=True):
        scaled_BK = each.error_BS[:, np.array(steps) - 1] / spreads_of(fitting, each)[:, None]
        bin_B = _bin_of(each.residual_B, inner)
        radius_CNVK.append([conformal_radius(scaled_BK[bin_B == number]) for number in range(len(inner) + 1)])
    about = Calibration(
        contexts=[each.context for each in known],
        horizon=horizon,
        steps=steps,
        edges=edges,
        rollouts=rollouts,
        coverage=[],
    )
    return Intervals.of(about, np.array(radius_CNVK)), about


def _bins(residuals: Sequence[Floats]) -> tuple[list[list[float]], int]:
    """Return the residuals between two bins for each length of context, and the number of windows in the smallest bin.

    The bins have equally many windows, unless some residuals are the same, as those of a series that repeats itself.
    Then there may be fewer bins.
    """
    for bins in range(min(BINS, min(map(len, residuals)) // BIN), 1, -1):
        edges = [np.quantile(residual_B, np.arange(1, bins) / bins).tolist() for residual_B in residuals]
        counts = [
            np.bincount(_bin_of(residual_B, inner), minlength=bins)
            for residual_B, inner in zip(residuals, edges, strict=True)
        ]
        smallest = int(np.min(counts))
        if smallest >= BIN // 2:
            return edges, smallest
    return [[] for _ in residuals], min(map(len, residuals))


def _bin_of(residual_B: Floats, edges: Sequence[float]) -> npt.NDArray[np.int64]:
    """Return the number of the bin of each residual, as `Intervals.around` chooses it."""
    return np.searchsorted(edges, residual_B, side="right")
