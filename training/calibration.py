"""Calibration of the fit and of the prediction intervals on unseen windows, and their measurement on fresh windows.

`model/fit.py` and `model/intervals.py` describe what is calibrated. Waves are calibrated with and without noise. The
noise goes on after the given values: an interval is one for the next values as they will be observed.

Shape suffixes: B windows, S steps, C lengths of context, N bins of noise or growth, R bins of the residual, V levels,
K stored steps.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from model.anchored import AnchoredNetwork
from model.fit import FEWEST
from model.intervals import Intervals, conformal_radius
from model.metadata import Calibration, Coverage, Fitting
from model.network import Network
from training.config import Config
from training.data import CALIBRATION, FRESH, Source, WaveDataset
from training.families import families
from training.forecasts import Forecasts, fits_of, forecasts, noisy, seasonal_forecasts, spreads_of, warned
from training.prior.source import Prior

SHOWN_LEVELS = (50, 80, 90, 95)
STORED_STEPS = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192)  # and the last one
NOISE_BINS, RESIDUAL_BINS, BIN = 10, 5, 500  # most bins of either kind, and fewest windows in one
CLEAN = 0.3  # fraction of the waves without noise
LOUDEST_DB, QUIETEST_DB = 5.0, 60.0  # signal to noise of the other waves, uniform in between
NOISIEST_DB = 9.0, 11.0  # signal to noise of the waves that are expected to be the noisiest
SHOWN_DB = {"clean": math.inf, "40 dB": 40.0, "30 dB": 30.0, "20 dB": 20.0, "10 dB": 10.0}
MOST_FRESH = 8000  # most windows of one level of noise that measure the coverage
FAMILY_STEPS = 24
CLEAN_QUANTILE, RATIO_QUANTILE = 0.99, 0.999

LEAST_CLEAN = 0.01
"""Residual of a clean sequence of your own series, at least. The network continues a series that repeats exactly with
errors up to about a hundredth of the scale, which change with the number of values given.
"""

_Edges = tuple[list[float], list[list[float]]]
"""The noise or the growth between two bins, and for each of those bins the residual between two bins."""


def calibrate(
    network: Network | AnchoredNetwork, config: Config, source: Source
) -> tuple[Intervals | None, Calibration | None, Fitting | None]:
    """Return the intervals, their description and the fit for the metadata.

    They are calibrated on windows of `source.calibration`, and measured on windows of `source.fresh`. All are None if
    `config.interval_rollouts` is 0, or if the windows of some length are all constant.
    """
    if config.interval_rollouts == 0:
        return None, None, None
    horizon = interval_horizon(config, source)
    contexts = sorted({FEWEST, *config.interval_contexts})
    known = {context: _known(network, config, source, context, horizon) for context in contexts}
    if not all(map(len, known.values())):
        return None, None, None
    fitting = _fitting([each for each in known.values() if each.context >= FEWEST])
    intervals, calibration = _intervals([known[context] for context in config.interval_contexts], fitting, horizon)
    usual, count = (
        usual_context(calibration.contexts, config.context_evaluated),
        min(MOST_FRESH, config.interval_rollouts),
    )
    fresh = [(kind, each) for kind, each in _fresh(network, source, calibration, usual, count) if len(each)]
    coverage = [row for kind, each in fresh for row in covered(intervals, fitting, each, kind)]
    warnings = {kind: warned(fitting, each) for kind, each in fresh if each.context == usual}
    return (
        intervals,
        calibration.model_copy(update={"coverage": coverage}),
        fitting.model_copy(update={"warned": warnings}),
    )


def interval_horizon(config: Config, source: Source) -> int:
    """Return the number of steps that get intervals. The prior makes series of any length."""
    return config.interval_horizon if isinstance(source, Prior) else min(config.interval_horizon, max(source.rollouts))


def usual_context(contexts: Sequence[int], evaluated: int) -> int:
    """Return the length of context at which kinds of sequences are compared: the one nearest below `evaluated`."""
    return max((context for context in contexts if context <= evaluated), default=contexts[0])


def covered(intervals: Intervals, fitting: Fitting, each: Forecasts, kind: str) -> list[Coverage]:
    """Return the coverage of the intervals: at the steps where it is lowest and highest, and on average.

    Levels that the service refuses, because too few rollouts were calibrated on, have none.
    """
    levels = [level for level in SHOWN_LEVELS if level <= intervals.highest]
    error_BS = np.abs(each.error_BS) * each.scale_B[:, None]
    inside_VS = np.zeros((len(levels), error_BS.shape[1]))
    for error_S, fit, state in zip(error_BS, fits_of(fitting, each), each.states, strict=True):
        ends = intervals.around(np.zeros(len(error_S)), fit, state, each.context, levels)
        inside_VS += [error_S <= ends[f"hi-{level}"] for level in levels]
    return [
        Coverage(
            context=each.context,
            of=kind,
            level=level,
            lowest=float(held_S.min()),
            mean=float(held_S.mean()),
            highest=float(held_S.max()),
        )
        for level, held_S in zip(levels, 100 * inside_VS / len(each), strict=True)
    ]


def _known(network: Network | AnchoredNetwork, config: Config, source: Source, context: int, horizon: int) -> Forecasts:
    """Return forecasts of the windows that calibrate a length of context."""
    if isinstance(network, AnchoredNetwork):
        assert isinstance(source, Prior)  # noqa: S101 - `Config` allows no other
        tasks = source.tasks(context, horizon, config.interval_rollouts, CALIBRATION)
        return seasonal_forecasts(network, context, tasks)
    windows = source.calibration(context, horizon, config.interval_rollouts)
    if not isinstance(windows, WaveDataset):
        return forecasts(network, windows.all())
    random = np.random.default_rng((config.seed, context))
    snr_B = random.uniform(LOUDEST_DB, QUIETEST_DB, len(windows))
    snr_B[random.random(len(windows)) < CLEAN] = math.inf
    return forecasts(network, noisy(windows, snr_B, random), snr_B)


def _fresh(
    network: Network | AnchoredNetwork, source: Source, about: Calibration, usual: int, count: int
) -> Iterator[tuple[str, Forecasts]]:
    """Yield forecasts of fresh windows, `count` of a kind: the levels of noise of each context, and other families for
    the `usual` one.
    """
    if isinstance(network, AnchoredNetwork):
        assert isinstance(source, Prior)  # noqa: S101 - `Config` allows no other
        for context in about.contexts:
            tasks = source.tasks(context, about.horizon, count, FRESH)
            yield "all", seasonal_forecasts(network, context, tasks)
        return
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


def _fitting(known: Sequence[Forecasts], least_clean: float = 0.0, broad: Fitting | None = None) -> Fitting:
    """Return the expectations of the fit, for each length of context.

    Where no window is known to be clean, or none to be noisy, `clean` is the median of all residuals, and `noisiest`
    a high quantile. Both are at least `least_clean`.

    Windows of few series overlap and resemble each other, so one window in a thousand is not known: the largest ratio
    of all is too small. It is therefore never smaller than that of `broad`, the fit of a model of many kinds of series.
    """
    clean, noisiest = [], []
    for each in known:
        clean_B, loudest_B = (
            each.residual_B[chosen_B]
            for chosen_B in (np.isinf(each.snr_B), (NOISIEST_DB[0] < each.snr_B) & (each.snr_B < NOISIEST_DB[1]))
        )
        clean.append(float(np.quantile(clean_B, CLEAN_QUANTILE) if len(clean_B) else np.median(each.residual_B)))
        noisiest.append(float(np.median(loudest_B) if len(loudest_B) else np.quantile(each.residual_B, CLEAN_QUANTILE)))
    clean, noisiest = ([max(least_clean, value) for value in values] for values in (clean, noisiest))
    contexts = [each.context for each in known]
    unlimited = Fitting(contexts=contexts, clean=clean, noisiest=noisiest, largest_ratio=[0.0] * len(contexts))
    ratios = [[fit.ratio for fit in fits_of(unlimited, each) if fit] for each in known]
    largest = [float(np.quantile(each, RATIO_QUANTILE)) for each in ratios]
    if broad:
        floors = [next(one.largest_ratio for one in broad.expectations if one.context <= length) for length in contexts]
        largest = list(map(max, largest, floors))
    return unlimited.model_copy(update={"largest_ratio": largest})


def _intervals(known: Sequence[Forecasts], fitting: Fitting, horizon: int) -> tuple[Intervals, Calibration]:
    """Return the intervals for each length of context, and their description without a coverage."""
    steps = [step for step in STORED_STEPS if step < horizon] + [horizon]
    edges, smallest = _edges(known)
    radii = []
    for each, (outer_edges, residual_edges) in zip(known, edges, strict=True):
        scaled_BK = each.error_BS[:, np.array(steps) - 1] / spreads_of(fitting, each)[:, None]
        bin_B, bins = _bin_of(each, outer_edges, residual_edges), (len(residual_edges), len(residual_edges[0]) + 1)
        members = [bin_B == number for number in range(math.prod(bins))]  # no window falls into an empty bin
        radius_BVK = np.array([conformal_radius(scaled_BK[in_B if in_B.any() else ...]) for in_B in members])
        radii.append(radius_BVK.reshape(*bins, *radius_BVK.shape[1:]))
    about = Calibration(
        contexts=[each.context for each in known],
        horizon=horizon,
        steps=steps,
        **{"noise_edges" if known[0].later_B is None else "growth_edges": [outer_edges for outer_edges, _ in edges]},
        residual_edges=[residual_edges for _, residual_edges in edges],
        rollouts=smallest,
        coverage=[],
    )
    return Intervals.of(about, np.array(radii)), about


def _edges(known: Sequence[Forecasts]) -> tuple[list[_Edges], int]:
    """Return the edges between bins for each length of context, and the number of windows in the smallest bin.

    The bins have equally many windows, unless some windows are the same, as those of a series that repeats itself, or
    have no noise, as very short ones. Then there may be fewer bins. Short windows have no growth yet. They share a bin,
    and the bins below it are empty.
    """
    most = min(map(len, known)) // BIN
    residuals = max(1, min(RESIDUAL_BINS, round(math.sqrt(most / 2))))
    shapes = [(min(NOISE_BINS, most // residuals), residuals)] if most else []
    for noises, residuals in shapes + [(1, residuals) for residuals in range(min(NOISE_BINS, most), 0, -1)]:
        edges = [_equal(each, noises, residuals) for each in known]
        counts = [
            np.bincount(_bin_of(each, *inner), minlength=noises * residuals)
            for each, inner in zip(known, edges, strict=True)
        ]
        smallest = min(int(count_N[count_N > 0].min()) for count_N in counts)
        if smallest >= BIN // 2 and (np.all(counts) or known[0].later_B is not None):
            return edges, smallest
    return [([], [[]]) for _ in known], min(map(len, known))


def _equal(each: Forecasts, outer: int, residuals: int) -> _Edges:
    """Return the edges of so many outer bins, and in each of them of the residual, with equally many windows."""
    outer_edges = np.quantile(each.outer_B, np.arange(1, outer) / outer).tolist()
    row_B = np.searchsorted(outer_edges, each.outer_B, side="right")
    inner = np.arange(1, residuals) / residuals
    rows = [each.residual_B[row_B == row] for row in range(outer)]
    return outer_edges, [np.quantile(row, inner).tolist() if len(row) else [0.0] * (residuals - 1) for row in rows]


def _bin_of(each: Forecasts, outer_edges: list[float], residual_edges: list[list[float]]) -> npt.NDArray[np.int64]:
    """Return the number of the bin of each window, as `Intervals.around` chooses it."""
    row_B = np.searchsorted(outer_edges, each.outer_B, side="right")
    column_B = np.sum(each.residual_B[:, None] >= np.array(residual_edges)[row_B], axis=1, dtype=np.int64)
    return row_B.astype(np.int64) * (len(residual_edges[0]) + 1) + column_B


def calibrated(
    known: Sequence[Forecasts], horizon: int, broad: Fitting | None
) -> tuple[Intervals, Calibration, Fitting]:
    """Return the intervals, their description without a coverage, and the fit, from forecasts of several lengths of
    context, ascending. `broad` is the fit of a model of many kinds of series, whose limits are the narrowest allowed.
    """
    fitting = _fitting(known, LEAST_CLEAN, broad)
    return *_intervals(known, fitting, horizon), fitting
