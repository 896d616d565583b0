"""Pieces: the series that members are chosen on, each in units of its own, with the origins of its backtests.

Shape suffixes: N values of a series, F forecasters, O origins, S steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.data import Floats
from training.own.backtest import Forecaster, evenly, fold_begins, naive_scale

MOST_SERIES, MOST_ORIGINS = 100, 40
"""Numbers of series that the choice looks at, and of origins in a fold of all of them together, at most; but each of
the series has two.
"""

FEWEST = 12
"""Number of values before the later fold, at least."""


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


def folds_of(pieces: Sequence[Piece]) -> range:
    """Return the numbers of the folds."""
    return range(max(len(piece.folds) for piece in pieces))


def forecasts_of(forecaster: Forecaster, piece: Piece, fold: int, steps: int) -> Floats:
    """Return the forecasts from each origin of a fold in units of the series, [O, S]."""
    x_N = piece.z_N + piece.offset  # its zero is the caller's
    return np.stack([forecaster(x_N[:origin], steps) for origin in piece.folds[fold]]) - piece.offset


def error_of(forecast_FOS: Floats, piece: Piece, fold: int, logarithm: bool) -> Floats:
    """Return the mean absolute error of each candidate, [F], in units of the mean change over a season."""
    steps = forecast_FOS.shape[2]
    truth_OS = np.stack([piece.z_N[origin : origin + steps] for origin in piece.folds[fold]])
    if logarithm:
        forecast_FOS = np.exp(np.minimum(forecast_FOS, 50)) - piece.offset
    with np.errstate(all="ignore"):
        error_F: Floats = np.abs(forecast_FOS - truth_OS).mean(axis=(1, 2)) / piece.unit
    np.nan_to_num(error_F, copy=False, nan=1e9, posinf=1e9)
    return error_F
