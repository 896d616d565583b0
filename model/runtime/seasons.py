"""The season of many sequences at once, as machine code. `model/season.py` has the definition and its reasons.

The autocorrelations are summed directly. They differ from those of the definition, which come from a Fourier transform,
by rounding alone.

This module runs as machine code: Numba infers the types, and mypy does not check them.

Shape suffixes: N values of a sequence, B sequences, S seasons from 1 on, L lags, H half lags, P parts.
"""

import logging
from collections.abc import Sequence
from functools import cache

import numba
import numpy as np
import numpy.typing as npt

from model.season import (
    CALENDAR,
    CLEAR,
    FARTHEST,
    FEW_PERIODS,
    FEWEST_CLIPPED,
    FEWEST_VALUES,
    LEAST_AGREEMENT,
    LEAST_ENERGY,
    LEAST_EXPLAINED,
    LONGEST_SEASON,
    MULTIPLES,
    NEAR_CALENDAR,
    OF_FEW_PRODUCTS,
    OF_FEW_VALUES,
    OTHER_SEASONS,
    OUTLIER,
    PARTS,
    ROUNDING,
    TOLERANCE,
    USUAL,
    Floats,
    find_season,
)

log = logging.getLogger(__name__)

_CALENDAR = np.array(CALENDAR)

_OPTIONS = {"error_model": "numpy", "nogil": True, "cache": True}
_EXACT = numba.njit(**_OPTIONS)
_SUM = numba.njit(fastmath={"contract", "reassoc", "nsz", "arcp"}, **_OPTIONS)


@_EXACT
def _season(x_N):
    count = len(x_N)
    if count < FEWEST_VALUES:
        return 1
    longest = min(LONGEST_SEASON, count // 2)
    most = longest + 1
    lags = min(count - 2, 3 * longest + longest // 2 + 2)
    rest_N, change_N = _without_trend(x_N)
    if not (rest_N.any() or change_N.any()):
        return 1
    rest_L, change_L = _autocorrelation(rest_N, lags), _autocorrelation(change_N, lags)
    rest_S, change_S = _left(rest_L, most, count), _left(change_L, most, count)
    rest_squares = change_squares = 0.0
    squared = 0
    least = 1.0 - max(LEAST_EXPLAINED, OF_FEW_VALUES / np.sqrt(count))
    together_S = np.empty(longest)
    in_rest_S, in_change_S = np.zeros(longest, np.bool_), np.zeros(longest, np.bool_)  # the candidates of each
    best = np.inf
    for s in range(1, longest + 1):
        quarter = max(s // 4, 1)
        while squared < quarter:
            squared += 1
            rest_squares += rest_L[squared] ** 2
            change_squares += change_L[squared] ** 2
        together = np.sqrt(max(rest_S[s - 1] * change_S[s - 1], 1e-12))
        together_S[s - 1] = np.exp(2.0 * s / (count - s)) * together
        if s == 1 or together >= least or not (s * OTHER_SEASONS <= count or _is_calendar(s)):
            continue
        error = max(2.0, np.sqrt(2.0 * np.log(s))) / np.sqrt(count - s)
        in_rest_S[s - 1] = _is_minimum(rest_S, s, max(1.0 - error * np.sqrt(1.0 + 2.0 * rest_squares), CLEAR))
        in_change_S[s - 1] = _is_minimum(change_S, s, max(1.0 - error * np.sqrt(1.0 + 2.0 * change_squares), CLEAR))
        if in_rest_S[s - 1] or in_change_S[s - 1]:
            best = min(best, together_S[s - 1])
    if best == np.inf:
        return 1
    factor = 1.0 + TOLERANCE / np.sqrt(count)
    found = 1
    for s in range(1, longest + 1):
        if (in_rest_S[s - 1] or in_change_S[s - 1]) and together_S[s - 1] <= factor * best:
            found = s
            break
    if not ((in_rest_S[found - 1] and _agrees(rest_N, found)) or (in_change_S[found - 1] and _agrees(change_N, found))):
        return 1
    for season in _CALENDAR:
        if abs(season - found) <= NEAR_CALENDAR * found and season <= longest:
            most = factor * together_S[found - 1]
            if count < FEW_PERIODS * season:
                most = max(most, CLEAR * np.exp(2.0 * season / (count - season)))
            return season if together_S[season - 1] <= most else found
    return found


@_SUM
def _agrees(z_N, season):
    """Return whether the values a season apart are alike in more than two places."""
    total = squares = 0.0
    for i in range(len(z_N) - season):
        product = z_N[i] * z_N[i + season]
        total, squares = total + product, squares + product * product
    return total >= min(LEAST_AGREEMENT, OF_FEW_PRODUCTS * np.sqrt(len(z_N) - season)) * np.sqrt(squares)


@_EXACT
def _is_calendar(season):
    for known in _CALENDAR:  # noqa: SIM110 - Numba knows no generators
        if known == season:
            return True
    return False


@_EXACT
def _is_minimum(left_S, s, most):
    """Return whether what season s leaves is smaller than that of its neighbours, and than `most`."""
    left = left_S[s - 1]
    return left < left_S[s - 2] and left <= left_S[s] and left < most


@_EXACT
def _without_trend(x_N):
    """Return what a parabola leaves of the values, and their differences less the mean, without outliers, [N] each."""
    count = len(x_N)
    rest_N, change_N = np.empty(count), np.zeros(count)
    largest = np.abs(x_N).max()
    if largest == 0.0:
        largest = 1.0
    for i in range(count):
        rest_N[i] = x_N[i] / largest
    change = (rest_N[-1] - rest_N[0]) / (count - 1)
    for i in range(count - 1):
        change_N[i] = rest_N[i + 1] - rest_N[i] - change
    _subtract_parabola(rest_N)
    if count >= FEWEST_CLIPPED:
        if _clip(rest_N):
            _subtract_parabola(rest_N)
        if _clip(change_N):
            change_N[:-1] -= change_N[:-1].mean()
    if np.abs(rest_N).max() <= ROUNDING:
        rest_N[:] = 0.0
    if np.abs(change_N).max() <= ROUNDING:
        change_N[:] = 0.0
    return rest_N, change_N


@_SUM
def _subtract_parabola(rest_N):
    count = len(rest_N)
    mean = rest_N.mean()
    middle = (count - 1) / 2
    # The sums of the squares of a line and of a bow, which are orthogonal to each other and to a constant
    bow_mean = (count**2 - 1) / 12
    line = line_squares = bow = bow_squares = 0.0
    for i in range(count):
        rest_N[i] -= mean
        t = i - middle
        b = t * t - bow_mean
        line += t * rest_N[i]
        line_squares += t * t
        bow += b * rest_N[i]
        bow_squares += b * b
    line, bow = line / line_squares, bow / bow_squares
    for i in range(count):
        t = i - middle
        rest_N[i] -= line * t + bow * (t * t - bow_mean)


@_EXACT
def _clip(z_N):
    """Clip the outliers of a sequence in place. Return whether it has any."""
    count = len(z_N)
    largest_P = np.zeros(PARTS)
    for part in range(PARTS):
        most = 0.0
        for i in range(part * count // PARTS, (part + 1) * count // PARTS):
            size = abs(z_N[i])
            most = size if size > most else most
        largest_P[part] = most
    largest_P.sort()
    most = OUTLIER * largest_P[USUAL - 1]
    if largest_P[-1] <= most:
        return False
    for i in range(count):
        z = z_N[i]
        z_N[i] = most if z > most else -most if z < -most else z
    return True


@_SUM
def _product(z_N, lag):
    total = 0.0
    for i in range(len(z_N) - lag):
        total += z_N[i] * z_N[i + lag]
    return total


@_EXACT
def _autocorrelation(z_N, longest):
    """Return the autocorrelations at the lags 0 to `longest`. Those of zeros are 0."""
    count = len(z_N)
    energy_N = np.zeros(count + 1)
    for i in range(count):
        energy_N[i + 1] = energy_N[i] + z_N[i] ** 2
    even = LEAST_ENERGY * energy_N[-1] / count
    r_L = np.empty(longest + 1)
    for lag in range(longest + 1):
        early, late = energy_N[count - lag], energy_N[-1] - energy_N[lag]
        r_L[lag] = _product(z_N, lag) / max(np.sqrt(max(early * late, 0.0)), even * (count - lag), 1e-300)
    return r_L


@_EXACT
def _left(r_L, most, count):
    """Return the share of the changes that each season 1 to `most` leaves [S]."""
    last = len(r_L) - 1
    sum_H = np.empty(2 * last + 2)
    total = 0.0
    for lag in range(last + 1):
        variogram = 1.0 - r_L[lag]
        total += variogram
        sum_H[2 * lag + 1] = total
        sum_H[2 * lag] = total - variogram / 2
    farthest = min(int(FARTHEST * count), last)
    left_S = np.empty(most)
    for s in range(1, most + 1):
        own, multiples = 1.0 - r_L[s], 1
        for multiple in range(2, MULTIPLES + 1):
            if s <= farthest // multiple:
                own += 1.0 - r_L[multiple * s]
                multiples += 1
        end = min((2 * multiples + 1) * s, 2 * last)
        around = (sum_H[end] - sum_H[s]) / ((end - s) / 2)
        left_S[s - 1] = max(own / multiples, 0.0) / max(around, 1e-12)
    return left_S


def _all(value_N, start_B1, season_B):
    for b in range(len(season_B)):
        season_B[b] = _season(value_N[start_B1[b] : start_B1[b + 1]])


@cache  # machine code stays in memory for good
def compile_seasons():
    """Return the compiled function, which sets `season_B` from `value_N` and `start_B1`, or the definition in a loop.

    A compiler may raise anything; slow beats not at all, but never in silence.
    """
    try:
        return numba.njit("void(float64[::1], int64[::1], int64[::1])", **_OPTIONS)(_all)
    except Exception as error:
        log.warning("Seasons are found slowly: their search failed to compile: %s: %s", type(error).__name__, error)
        return _all_by_definition


def _all_by_definition(value_N, start_B1, season_B):
    for b in range(len(season_B)):
        season_B[b] = find_season(value_N[start_B1[b] : start_B1[b + 1]])


def find_seasons(value_N: Floats, start_B1: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the season of each sequence [B], which `find_season` finds.

    Args:
        value_N: the values of all sequences, one after the other, all finite.
        start_B1: the index of the first value of each sequence, and the number of all values.
    """
    season_B = np.ones(len(start_B1) - 1, np.int64)
    compile_seasons()(np.require(value_N, np.float64, ["C", "W"]), start_B1, season_B)
    return season_B


def season_of(values: Sequence[float] | Floats) -> int:
    """Return the season of one sequence, an iterable of numbers that are all finite."""
    value_N = np.array(values, np.float64)
    return int(find_seasons(value_N, np.array([0, len(value_N)]))[0])
