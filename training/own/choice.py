"""The choice of members by closed-loop backtests, and their fit.

A backtest forecasts the whole horizon from origins in two folds: the `SELECTION` before the held-out part, and as much
before that. Members see nothing after the beginning of a fold when they are fitted for it. Errors of the next value
alone choose worse members: those are good at one step and wrong at twelve.

The best `BEST` regressions become one, whose weights are the mean of theirs. The best `BEST` cells stay apart. Whether
the members see values or logarithms is chosen last, by backtests of the whole model.

Many series share all choices and weights. Each counts in its own units. The choice looks at some of them; the fit uses
all.

Shape suffixes: N values of a series, O origins, S steps, W window, P errors.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.members import FEWEST, MOST_SEASONS
from model.members.reference import MemberWeights
from model.metadata import MemberSizes
from model.runtime.members import compile_members, first_state, fitted
from training.data import Floats
from training.own import regressions, smoothing
from training.own.backtest import Forecaster, evenly, fold_begins, naive_scale
from training.own.regressions import RIDGES, Candidate, inner_season
from training.own.smoothing import ERROR_RIDGES

BEST = 5
"""Number of regressions and of cells that are averaged."""

SHARE, WEIGHT = 0.5, 0.5
"""Share of the regression among the members, and weight of the members of many values beside the anchored network.

They are fixed: on 28 real series, those that backtests chose had larger errors.
"""

TOO_FEW = 40
"""Number of values, of all series together, at which the weight of the members is 0. It grows to `WEIGHT` with more.

On pieces of the same series, members raised the errors of 40 values, and lowered those of 90 with a weight of 0.3.
"""

MOST_SERIES, MOST_ORIGINS = 100, 40
"""Numbers of series that the choice looks at, and of origins in a fold of all of them together, at most; but each of
the series has two.
"""

MOST_ERRORS = 13
Rates = tuple[float, float, float, float, float]


@dataclass(frozen=True)
class Piece:
    """A series that members are chosen on, in units of its own."""

    z_N: Floats
    offset: float
    folds: tuple[tuple[int, ...], ...]
    """The origins in each fold. Members are fitted for a fold to what is before its first origin."""

    unit: float
    """The mean absolute change over a season."""

    def u(self, logarithm: bool) -> Floats:
        """Return what the members see."""
        return np.log(self.z_N + self.offset) if logarithm else self.z_N


@dataclass(frozen=True)
class Choice:
    """The members that were chosen. Only their weights remain to be fitted."""

    season: int
    logarithm: bool
    regressions: tuple[tuple[Candidate, float], ...]
    """Candidates, and the ridge of each."""

    cells: tuple[tuple[Rates, float], ...]
    """Rates, and the ridge of the errors' weights of each."""

    errors: int
    values: int
    weight: float = WEIGHT
    """Weight of the members beside the anchored network."""

    error: float = np.inf
    """Mean absolute error of its backtests, in units of the mean absolute change over a season."""

    error_alone: float = np.inf
    """That of the anchored network alone."""

    @property
    def sizes(self) -> MemberSizes:
        inner = inner_season(self.season) if self.cells else 1
        season = self.season if self.cells else 1
        return MemberSizes(
            values=self.values,
            cells=len(self.cells),
            errors=self.errors if self.cells else 0,
            inner=inner,
            season=season,
            logarithm=self.logarithm,
        )


def choose(series: Sequence[Floats], season: int, horizon: int, anchored: Forecaster) -> Choice | None:
    """Return the members for series, of which each ends where its held-out part begins.

    None if all series are too short or do not change, or if no member lowers the errors of the anchored network alone.
    """
    pieces = pieces_of(series, season, horizon)
    weight = WEIGHT * max(0.0, 1 - TOO_FEW / max(1, sum(map(len, series))))
    if not pieces or not weight:
        return None
    beside = [[_forecasts(anchored, piece, fold, horizon) for fold in range(len(piece.folds))] for piece in pieces]
    positive = all((piece.z_N + piece.offset > 0).all() for piece in pieces)
    found = [_chosen(pieces, season, horizon, logarithm) for logarithm in ((False, True) if positive else (False,))]
    options = [_measured(replace(each, weight=weight), pieces, horizon, beside) for each in found if each]
    best = min(options, key=lambda option: option.error, default=None)
    return best if best and best.error < best.error_alone else None


def pieces_of(series: Sequence[Floats], season: int, horizon: int) -> list[Piece]:
    """Return the series that the choice looks at: evenly spread, long enough, and with changes."""
    usable = [piece for x_N in evenly(series, MOST_SERIES) if (piece := _piece(x_N, season, horizon, MOST_ORIGINS))]
    lengths = sorted(piece.folds[-1][0] for piece in usable)
    if lengths:  # the shortest quarter would leave room for few lags
        usable = [piece for piece in usable if piece.folds[-1][0] >= lengths[len(lengths) // 4]]
    most = max(2, MOST_ORIGINS // max(1, len(usable)))
    return [replace(piece, folds=tuple(tuple(evenly(fold, most)) for fold in piece.folds)) for piece in usable]


def _piece(x_N: Floats, season: int, horizon: int, most: int) -> Piece | None:
    known = len(x_N)
    begins = fold_begins(known, horizon)
    if begins[0] < max(FEWEST, 0.4 * known):
        return None
    first = x_N[: begins[-1]]
    level, scale, unit = first.min() / 2 + first.max() / 2, np.ptp(first) / 2, naive_scale(first, season)
    if not unit > 0:
        return None
    ends = (known, begins[0])
    folds = tuple(
        tuple(evenly(range(begin, end - horizon + 1), most)) for begin, end in zip(begins, ends, strict=False)
    )
    return Piece((x_N - level) / scale, level / scale, folds, unit / scale)


def fit(choice: Choice, series: Iterable[Floats]) -> MemberWeights:
    """Return the weights of chosen members, fitted to series. Each series is in units of its own."""
    sizes = choice.sizes
    window_LL = np.zeros((choice.values + 2, choice.values + 2))
    error_EPP = np.zeros((sizes.cells, sizes.errors + 1, sizes.errors + 1))
    for u_N, unit in _in_units(series, choice.logarithm, choice.season):
        if choice.regressions and len(u_N) > choice.values:
            window_LL += regressions.moments(u_N, choice.values) / unit**2
        for number, (rate_5, _) in enumerate(choice.cells):
            if len(u_N) > choice.values + sizes.errors:
                error_N = smoothing.cell_errors(u_N, choice.values, rate_5, sizes.inner, sizes.season)
                error_EPP[number] += smoothing.error_moments(error_N[choice.values :], sizes.errors) / unit**2
    filter_W = np.zeros(choice.values + 1)
    if choice.regressions:
        rows = [regressions.solve(candidate, window_LL, [ridge])[0] for candidate, ridge in choice.regressions]
        filter_W = np.mean(rows, axis=0)
    share = SHARE if choice.cells and choice.regressions else float(bool(choice.regressions))
    theta = [smoothing.error_weights(error_EPP[number], ridge) for number, (_, ridge) in enumerate(choice.cells)]
    return MemberWeights(
        sizes=sizes,
        filter_M=filter_W[-2::-1].copy(),
        mean_weight=float(filter_W[-1]),
        filter_share=share,
        rate_E5=np.array([rate_5 for rate_5, _ in choice.cells]).reshape(-1, 5),
        theta_EP=np.array(theta).reshape(sizes.cells, sizes.errors),
        share_E=np.full(sizes.cells, (1 - share) / max(1, sizes.cells)),
        weight=choice.weight,
    )


def _in_units(series: Iterable[Floats], logarithm: bool, season: int) -> Iterable[tuple[Floats, float]]:
    """Yield what members see of each series, and its mean absolute change over a season."""
    for x_N in series:
        if logarithm and not (x_N > 0).all():
            continue
        scale = float(np.ptp(x_N)) / 2
        if scale > 0:
            u_N = np.log(x_N / scale) if logarithm else (x_N - x_N.min()) / scale - 1
            yield u_N, max(naive_scale(u_N, season), 1e-9)


def _chosen(pieces: Sequence[Piece], season: int, horizon: int, logarithm: bool) -> Choice | None:
    """Return the best members that see values or logarithms."""
    length = min(piece.folds[-1][0] for piece in pieces)
    best = _best_regressions(pieces, season, horizon, logarithm, length)
    values = begin_with(season, length)
    errors = max(1, min(MOST_ERRORS, length // 12))
    cells = _best_cells(pieces, season, horizon, logarithm, values, errors) if 2 * values <= 3 * length // 2 else ()
    if not best and not cells:
        return None
    values = max([candidate.window for candidate, _ in best] + [values] * bool(cells))
    return Choice(season, logarithm, best, cells, errors, values)


def begin_with(season: int, length: int) -> int:
    """Return the number of values that cells begin with: three seasons, or fewer of a short series."""
    seasons = min(MOST_SEASONS, max(1, round(0.6 * length / season)))
    return max(FEWEST, seasons * season)


def _best_regressions(
    pieces: Sequence[Piece], season: int, horizon: int, logarithm: bool, length: int
) -> tuple[tuple[Candidate, float], ...]:
    every = regressions.candidates(season, length)
    if not every:
        return ()
    lags = max(candidate.window for candidate in every)
    u, folds = [piece.u(logarithm) for piece in pieces], _folds(pieces)
    moments = [
        sum(
            regressions.moments(u_N[: piece.folds[fold][0]], lags) / naive_scale(u_N, season) ** 2
            for u_N, piece in zip(u, pieces, strict=True)
            if fold < len(piece.folds)
        )
        for fold in folds
    ]
    scored = []
    for candidate in every:
        errors: list[list[Floats]] = [[] for _ in pieces]
        for fold, moments_LL in zip(folds, moments, strict=True):
            weights_FW = regressions.solve(candidate, np.asarray(moments_LL))
            amplify_F = regressions.amplify(weights_FW)
            for number, (u_N, piece) in enumerate(zip(u, pieces, strict=True)):
                if fold < len(piece.folds):
                    forecast = regressions.rollouts(u_N, weights_FW, piece.folds[fold], horizon)
                    error_F = _error(forecast, piece, fold, logarithm)
                    errors[number].append(np.where(amplify_F, np.inf, error_F))
        error_F = np.mean([np.mean(each, axis=0) for each in errors], axis=0)
        at = int(error_F.argmin())
        scored.append((float(error_F[at]), candidate, RIDGES[at]))
    scored.sort(key=lambda row: row[0])
    return tuple((candidate, ridge) for _, candidate, ridge in scored[:BEST])


def _best_cells(
    pieces: Sequence[Piece], season: int, horizon: int, logarithm: bool, values: int, errors: int
) -> tuple[tuple[Rates, float], ...]:
    inner, folds = inner_season(season), _folds(pieces)
    u = [piece.u(logarithm) for piece in pieces]

    def error(rate_5: Rates, ridges: Sequence[float]) -> Floats:
        """Return the error of a cell with each ridge."""
        of_pieces: list[list[Floats]] = [[] for _ in pieces]
        every = [smoothing.cell_errors(u_N, values, rate_5, inner, season) for u_N in u] if len(ridges) > 1 else []
        for fold in folds:
            theta_RP = np.zeros((len(ridges), errors))
            if len(ridges) > 1:
                moments_PP = sum(
                    smoothing.error_moments(error_N[values : piece.folds[fold][0]], errors) / piece.unit**2
                    for error_N, piece in zip(every, pieces, strict=True)
                    if fold < len(piece.folds) and piece.folds[fold][0] > values + errors
                )
                if not isinstance(moments_PP, int):
                    theta_RP = np.array([smoothing.error_weights(moments_PP, ridge) for ridge in ridges])
            for number, (u_N, piece) in enumerate(zip(u, pieces, strict=True)):
                if fold < len(piece.folds):
                    at = piece.folds[fold]
                    forecast = smoothing.cell_rollouts(u_N, values, rate_5, theta_RP, inner, season, at, horizon)
                    of_pieces[number].append(_error(forecast, piece, fold, logarithm))
        result: Floats = np.mean([np.mean(each, axis=0) for each in of_pieces], axis=0)
        return result

    plain = sorted((float(error(rate_5, (np.inf,))[0]), rate_5) for rate_5 in smoothing.grid(inner, season))
    scored = []
    for _, rate_5 in plain[: len(plain) // 4]:
        error_R = error(rate_5, ERROR_RIDGES)
        scored.append((float(error_R.min()), rate_5, ERROR_RIDGES[int(error_R.argmin())]))
    return tuple((rate_5, ridge) for _, rate_5, ridge in sorted(scored)[:BEST])


def _measured(choice: Choice, pieces: Sequence[Piece], horizon: int, beside: Sequence[Sequence[Floats]]) -> Choice:
    """Return the choice with the errors of its backtests."""
    mixed, alone = [], []
    for fold in _folds(pieces):
        within = [number for number, piece in enumerate(pieces) if fold < len(piece.folds)]
        before = [(pieces[number].z_N + pieces[number].offset)[: pieces[number].folds[fold][0]] for number in within]
        weights = fit(choice, before)
        for number in within:
            piece, beside_OS = pieces[number], beside[number][fold]
            own_OS = member_rollouts(weights, piece, piece.folds[fold], horizon)
            mixed_OS = weights.weight * own_OS + (1 - weights.weight) * beside_OS
            mixed.append(_error(mixed_OS[None], piece, fold, False))
            alone.append(_error(beside_OS[None], piece, fold, False))
    return replace(choice, error=float(np.mean(mixed)), error_alone=float(np.mean(alone)))


def member_rollouts(weights: MemberWeights, piece: Piece, origin_O: Sequence[int], steps: int) -> Floats:
    """Return the forecasts of the members alone from each origin, [O, S], in units of the series."""
    run, members = compile_members().run, fitted(replace(weights, weight=1.0))
    state_K, nothing = first_state(weights.sizes, piece.offset), np.empty(0)
    forecast_OS, begin = np.zeros((len(origin_O), steps)), 0
    for forecast_S, origin in zip(forecast_OS, origin_O, strict=True):
        run(state_K, piece.z_N[begin:origin], np.zeros(0, np.float32), nothing, *members)
        forecast_S[:] = piece.z_N[origin - 1]
        run(state_K.copy(), nothing, np.zeros(0, np.float32), forecast_S, *members)
        begin = origin
    return forecast_OS


def _folds(pieces: Sequence[Piece]) -> range:
    return range(max(len(piece.folds) for piece in pieces))


def _forecasts(anchored: Forecaster, piece: Piece, fold: int, steps: int) -> Floats:
    """Return the forecasts of the anchored network in units of the series, [O, S]."""
    x_N = piece.z_N + piece.offset  # its zero is the caller's
    return np.stack([anchored(x_N[:origin], steps) for origin in piece.folds[fold]]) - piece.offset


def _error(forecast_FOS: Floats, piece: Piece, fold: int, logarithm: bool) -> Floats:
    """Return the mean absolute error of each candidate, [F], in units of the mean change over a season."""
    steps = forecast_FOS.shape[2]
    truth_OS = np.stack([piece.z_N[origin : origin + steps] for origin in piece.folds[fold]])
    if logarithm:
        forecast_FOS = np.exp(np.minimum(forecast_FOS, 50)) - piece.offset
    with np.errstate(all="ignore"):
        error_F: Floats = np.abs(forecast_FOS - truth_OS).mean(axis=(1, 2)) / piece.unit
    np.nan_to_num(error_F, copy=False, nan=1e9, posinf=1e9)
    return error_F
