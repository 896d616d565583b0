"""The choice of members by closed-loop backtests.

A backtest forecasts the whole horizon from origins in two folds: the `SELECTION` before the held-out part, and as much
before that. Members see nothing after the beginning of a fold when they are fitted for it. Errors of the next value
alone choose worse members: those are good at one step and wrong at twelve.

The best `BEST` regressions become one, whose weights are the mean of theirs. The best `BEST` cells stay apart. Whether
the members see values or logarithms is chosen last, by backtests of the whole model.

Shape suffixes: N values of a series, F regressions, R ridges, O origins, S steps, P errors.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from model.members import FEWEST, MOST_SEASONS
from model.members.reference import MemberWeights
from model.runtime.members import compile_members, first_state, fitted
from training.data import Floats
from training.own import regressions, smoothing
from training.own.backtest import Forecaster, naive_scale
from training.own.members import WEIGHT, Choice, Rates, fit, has_logarithms
from training.own.pieces import Piece, error_of, folds_of, forecasts_of, pieces_of
from training.own.regressions import RIDGES, Candidate, inner_season
from training.own.smoothing import ERROR_RIDGES

BEST = 5
"""Number of regressions and of cells that are averaged."""

TOO_FEW = 40
"""Number of values, of all series together, at which the weight of the members is 0. It grows to `WEIGHT` with more.

On pieces of the same series, members raised the errors of 40 values, and lowered those of 90 with a weight of 0.3.
"""

MOST_ERRORS = 13
"""Number of last errors that a cell weighs, at most."""


def choose(series: Sequence[Floats], season: int, horizon: int, anchored: Forecaster) -> list[Choice]:
    """Return members for series, of which each ends where its held-out part begins: the best first.

    There are at most two: members that see values, and members that see logarithms. There is none if all series are too
    short or do not change, or if no member lowers the errors of the anchored network alone.
    """
    pieces = pieces_of(series, season, horizon)
    weight = WEIGHT * max(0.0, 1 - TOO_FEW / max(1, sum(map(len, series))))
    if not pieces or not weight:
        return []
    beside = [[forecasts_of(anchored, piece, fold, horizon) for fold in range(len(piece.folds))] for piece in pieces]
    forms = (False, True) if all(has_logarithms(piece.z_N + piece.offset) for piece in pieces) else (False,)
    found = [_chosen(pieces, season, horizon, logarithm) for logarithm in forms]
    options = [_measured(replace(each, weight=weight), pieces, horizon, beside) for each in found if each]
    return sorted((one for one in options if one.error < one.error_alone), key=lambda one: one.error)


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
    u, folds = [piece.u(logarithm) for piece in pieces], folds_of(pieces)
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
                    error_F = error_of(forecast, piece, fold, logarithm)
                    errors[number].append(np.where(amplify_F, np.inf, error_F))
        error_F = np.mean([np.mean(each, axis=0) for each in errors], axis=0)
        at = int(error_F.argmin())
        scored.append((float(error_F[at]), candidate, RIDGES[at]))
    scored.sort(key=lambda row: row[0])
    return tuple((candidate, ridge) for _, candidate, ridge in scored[:BEST])


def _best_cells(
    pieces: Sequence[Piece], season: int, horizon: int, logarithm: bool, values: int, errors: int
) -> tuple[tuple[Rates, float], ...]:
    inner, folds = inner_season(season), folds_of(pieces)
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
                    of_pieces[number].append(error_of(forecast, piece, fold, logarithm))
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
    for fold in folds_of(pieces):
        within = [number for number, piece in enumerate(pieces) if fold < len(piece.folds)]
        before = [(pieces[number].z_N + pieces[number].offset)[: pieces[number].folds[fold][0]] for number in within]
        weights = fit(choice, before)
        for number in within:
            piece, beside_OS = pieces[number], beside[number][fold]
            own_OS = member_rollouts(weights, piece, piece.folds[fold], horizon)
            mixed_OS = weights.weight * own_OS + (1 - weights.weight) * beside_OS
            mixed.append(error_of(mixed_OS[None], piece, fold, False))
            alone.append(error_of(beside_OS[None], piece, fold, False))
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
