"""Candidates for the autoregression: ridge regressions towards a simple forecast.

One step is û_(t+1) = p_t + Σ_k b_k (u_(t+1-k) - L_t), where p_t is a simple forecast and L_t a level. The ridge shrinks
all b to 0, so with a large ridge the simple forecast alone remains. Both p_t and L_t are linear in the window
[u_t, u_(t-1), …, ū]. So each candidate is one linear map of the window, and one matrix of second moments of the window
and of its next value fits all of them. Moments of many series add up.

Shape suffixes: N values of a series, M lags, W = M + 1 inputs of a window (the newest value first, ū last), P weights
of a candidate, F regressions, O origins, S steps.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from training.data import Floats

RIDGES = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0)
"""Ridges, as multiples of the mean square of the inputs."""

DAY = {168: 24, 336: 48}
"""Steps in a day, for each season of a week with more than one step in a day."""

LONGEST_DENSE = 60
"""Seasons up to this may have a weight for each lag."""

LARGEST_GAIN, GAIN_STEPS = 100.0, 64

LARGER_RIDGE, LARGEST_RIDGE = 3.0, 1e9
"""The factor from a ridge to the next larger one, and the ridge that leaves hardly more than the simple forecast."""

Level = Literal["mean", "last", "season"]
"""L_t: ū, the last value, or the mean of the last season."""

Simple = Literal["level", "season", "moved"]
"""p_t: L_t, the value a season before, or that value and the change of L since then."""


class Candidate(NamedTuple):
    """The form of a regression."""

    season: int
    lags: tuple[int, ...]
    level: Level
    simple: Simple

    @property
    def window(self) -> int:
        """Return the number of last values that it needs."""
        season = 1 if self.level == "mean" and self.simple == "level" else self.season
        if self.simple == "moved":
            season = self.season + (self.season if self.level == "season" else 1)
        return max(season, *self.lags)


def inner_season(season: int) -> int:
    """Return the shorter season inside of a season, 1 for none."""
    return DAY.get(season, 1)


def candidates(season: int, length: int) -> list[Candidate]:
    """Return the candidates for series of this length, which is that of the shortest part that they are fitted to."""
    forms: list[tuple[Level, Simple]] = [("mean", "level"), ("last", "level")]
    if season > 1:
        forms += [("mean", "season"), ("last", "season"), ("last", "moved")]
        forms += [("season", "level"), ("season", "season"), ("season", "moved")]
    every = [Candidate(season, lags, *form) for lags in lag_sets(season, length) for form in forms]
    return [one for one in every if one.window + max(20, len(one.lags) // 2) <= length]


def lag_sets(season: int, length: int) -> list[tuple[int, ...]]:
    """Return the sets of lags: near ones, around the season, and around a day inside of a week."""
    if season == 1:
        return [tuple(range(1, most + 1)) for most in (2, 5, 10, 20)]
    around = [k for j in (1, 2, 3) for k in (j * season - 1, j * season, j * season + 1) if k + season + 8 < length / 3]
    day = inner_season(season)
    of_day = [day - 1, day, day + 1] if day > 1 else []
    sets = [{*range(1, min(season, 8) + 1), *around, *of_day}]
    if season <= LONGEST_DENSE:
        sets.append({*range(1, season + 2)})
        sets += [{*range(1, 2 * season + 2)}] if 2 * season + 2 < length / 4 else []
        sets += [{*range(1, season + 2), *around}] if 3 * season + 2 < length / 4 else []
    else:
        days = [k for j in range(1, season // day + 1) for k in range(j * day - 1, j * day + 2)] if day > 1 else []
        near = range(1, min(day, LONGEST_DENSE) + 2) if day > 1 else range(1, 15)
        sets.append({*near, season - 1, season, season + 1, *days})
        sets.append({*near, *days, *around, *range(season - 4, season + 5)})
    return [tuple(sorted(lags)) for lags in dict.fromkeys(map(frozenset, sets)) if min(lags) > 0]


def moments(u_N: Floats, lags: int) -> Floats:
    """Return the second moments [1 + W, 1 + W] of the next value and the window, less the mean of the series."""
    window_BL = np.lib.stride_tricks.sliding_window_view(u_N - u_N.mean(), lags + 1)[:, ::-1]
    moments_LL = np.zeros((lags + 2, lags + 2))  # ū less the mean is 0
    moments_LL[:-1, :-1] = window_BL.T @ window_BL
    return moments_LL


def solve(candidate: Candidate, moments_LL: Floats, ridges: Sequence[float] = RIDGES) -> Floats:
    """Return the weights of the window for each ridge, [F, W]. Those of each row sum to 1."""
    window = np.eye(len(moments_LL) - 1)
    season, mean = candidate.season, window[-1]
    level_W = {"mean": mean, "last": window[0], "season": window[:season].mean(axis=0)}[candidate.level]
    simple_W = level_W if candidate.simple == "level" else window[season - 1]
    if candidate.simple == "moved":
        before_W = window[season] if candidate.level == "last" else window[season : 2 * season].mean(axis=0)
        simple_W = simple_W + level_W - before_W
    map_PW = window[np.array(candidate.lags) - 1] - level_W
    input_WW, target_W = moments_LL[1:, 1:], moments_LL[1:, 0]
    gram_PP, cross_P = map_PW @ input_WW @ map_PW.T, map_PW @ (target_W - input_WW @ simple_W)
    size = max(float(np.trace(gram_PP)) / len(gram_PP), 1e-300)
    value_P, vector_PP = np.linalg.eigh(gram_PP)
    solved_P = vector_PP.T @ cross_P
    rows = [vector_PP @ (solved_P / (np.maximum(value_P, 0) + ridge * size)) for ridge in ridges]
    weights_FW: Floats = simple_W + np.array(rows) @ map_PW
    return weights_FW


def amplify(weights_FW: Floats) -> npt.NDArray[np.bool_]:
    """Return whether each regression amplifies a change of its last value beyond `LARGEST_GAIN` in a rollout, [F].

    Those that are fitted to series without noise may do so. They would amplify rounding errors just as much.
    """
    lags = weights_FW.shape[1] - 1
    response_FS = rollouts(np.eye(lags)[-1], weights_FW, [lags], GAIN_STEPS)[:, 0]
    amplify_F: npt.NDArray[np.bool_] = ~(np.abs(response_FS).max(axis=1) <= LARGEST_GAIN)  # true for NaN
    return amplify_F


def solve_stable(candidate: Candidate, moments_LL: Floats, ridge: float) -> Floats:
    """Return the weights of the window, [W], with this ridge, or with the next larger one that does not amplify.

    The ridge was chosen on a part of the values that are fitted now. The rest of them may have an outlier.
    """
    while True:
        weights_FW = solve(candidate, moments_LL, [ridge])
        weights_W: Floats = weights_FW[0]
        if ridge > LARGEST_RIDGE or not amplify(weights_FW)[0]:
            return weights_W
        ridge *= LARGER_RIDGE


def rollouts(u_N: Floats, weights_FW: Floats, origin_O: Sequence[int], steps: int) -> Floats:
    """Return the closed-loop forecasts from each origin, [F, O, S]."""
    lags = weights_FW.shape[1] - 1
    oldest_first_FM = np.ascontiguousarray(weights_FW[:, lags - 1 :: -1]) if lags else weights_FW[:, :0]
    mean_O = np.array([u_N[:origin].mean() for origin in origin_O])
    u_OFU = np.zeros((len(origin_O), len(weights_FW), lags + steps))
    u_OFU[:, :, :lags] = np.stack([u_N[origin - lags : origin] for origin in origin_O])[:, None]
    for step in range(steps):
        last_OFM = u_OFU[:, :, step : step + lags]
        u_OFU[:, :, lags + step] = np.einsum("ofm,fm->of", last_OFM, oldest_first_FM)
        u_OFU[:, :, lags + step] += mean_O[:, None] * weights_FW[:, -1]
    return u_OFU[:, :, lags:].swapaxes(0, 1)
