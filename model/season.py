"""The season of a request: the number of steps after which its values repeat, found in the values alone.

Two sequences are made of the values: what a parabola leaves of them, and their differences. The first shows smooth
seasons. The second shows seasons beside a level that wanders. Each has an autocorrelation r_l at each lag l: the sum of
the products of the values l apart, divided by the root of the sums of squares of both factors. Then 1 - r_l is the
variogram, half of the mean square of what changes in l steps, in units of the variance.

    own_s    = mean of 1 - r_l at the lags s, 2s and 3s
    around_s = mean of 1 - r_l at all lags from s/2 to 7s/2
    left_s   = own_s / around_s

left_s is the share of the changes that a season s does not explain. It is near 1 for every s in noise, in random walks
and in slow cycles, and near 0 for the season of a clean seasonal series. A lag is a candidate if left_s of one sequence
has a minimum there, and if 1 - left_s is larger than max(2, sqrt(2 log s)) of Bartlett's standard errors of r_s,

    sqrt((1 + 2 (r_1² + … + r_q²)) / (N - s)),      q = s / 4.

The largest of s errors is about sqrt(2 log s) of them. The correlations of neighbours widen the error (Bartlett, "On
the theoretical specification and sampling properties of autocorrelated time-series", *Suppl. J. R. Stat. Soc.* 8(1),
1946). Those of farther values are left out, because they are large in a seasonal series itself.

The geometric mean of left_s in both sequences must be below 1 by `LEAST_EXPLAINED`, and by more for few values.
Candidates are compared by this mean times exp(2 s / (N - s)): a profile of s numbers is estimated from N values, and
this is the factor of Akaike's criterion for few values (Hurvich and Tsai, *Biometrika* 76(2), 1989). The shortest
candidate wins that is as good as the best one within the error of the comparison. So a multiple of the season is not
taken for it, and a week is taken instead of a day where days of the week differ.

Shape suffixes: N values, R = 2 sequences, L lags, S seasons from 1 on, H half lags.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sine_client.limits import LONGEST_SEASON as LONGEST_SEASON

Floats = npt.NDArray[np.float64]

CALENDAR = (4, 7, 12, 24, 48, 52, 96, 168, 288, 336, 365)
"""Seasons of calendars and clocks: quarters, days of the week, months, hours, quarters of an hour, and their weeks.

Two of them are enough to be found. `OTHER_SEASONS` are needed of others.
"""

FEWEST_VALUES = 6
OTHER_SEASONS = 2.5
MULTIPLES = 3
FARTHEST = 2 / 3
"""The fraction of the values that a lag of a second or third multiple is at most. Beyond it there are few pairs."""

LEAST_EXPLAINED, OF_FEW_VALUES = 0.15, 2.5
"""A season has to explain the larger of LEAST_EXPLAINED and OF_FEW_VALUES / sqrt(N) of the changes."""

TOLERANCE = 5.0
"""A season is as good as the best one if what it leaves is larger by a factor of at most 1 + TOLERANCE / sqrt(N)."""

NEAR_CALENDAR = 0.05
"""A season of the calendar is taken if it is as good as the one found, and differs from it by at most this fraction."""

ROUNDING = 16 * np.finfo(np.float64).eps
"""The remainder of values of size 1 counts as zero if it is not larger than this."""


def find_season(values: Sequence[float] | Floats) -> int:
    """Return the season of a sequence in steps, at most `LONGEST_SEASON`, or 1 if it has none.

    The season does not depend on the unit: that of a x + c, for a other than 0, is that of x. A constant sequence and a
    sequence of fewer than 6 values have the season 1. The values must be finite.
    """
    x_N = np.asarray(values, dtype=np.float64)
    count = len(x_N)
    if count < FEWEST_VALUES:
        return 1
    known = _known(count)
    sequence_RN = _without_trend(x_N, known.trend_2N)
    if not sequence_RN.any():
        return 1
    longest = len(known.enough_S)
    r_RL = _autocorrelation(sequence_RN, min(count - 2, 3 * longest + longest // 2 + 2))
    left_RS = _left(r_RL, longest + 1, count)
    squares_RL = np.cumsum(r_RL[:, 1 : longest // 4 + 2] ** 2, axis=1)
    error_RS = known.error_S * np.sqrt(1 + 2 * squares_RL[:, known.quarter_S])

    together_S = np.sqrt(np.maximum(left_RS[0, :-1] * left_RS[1, :-1], 1e-12))
    minimum_RS = (left_RS[:, 1:-1] < left_RS[:, :-2]) & (left_RS[:, 1:-1] <= left_RS[:, 2:])
    significant_RS = left_RS[:, 1:-1] < 1 - error_RS[:, 1:]
    candidate_S = known.enough_S & (together_S < 1 - max(LEAST_EXPLAINED, OF_FEW_VALUES / math.sqrt(count)))
    candidate_S[0] = False
    candidate_S[1:] &= (minimum_RS & significant_RS).any(axis=0)
    if not candidate_S.any():
        return 1
    compared_S = known.penalty_S * together_S
    factor = 1 + TOLERANCE / math.sqrt(count)
    good_S = candidate_S & (compared_S <= factor * compared_S[candidate_S].min())
    found = int(good_S.argmax()) + 1
    for season in CALENDAR:
        if abs(season - found) <= NEAR_CALENDAR * found and season <= longest:
            return season if compared_S[season - 1] <= factor * compared_S[found - 1] else found
    return found


class _Known(NamedTuple):
    """The quantities that depend on the number of values alone."""

    trend_2N: Floats
    """A line and a bow, orthonormal to each other and to a constant."""

    enough_S: npt.NDArray[np.bool_]
    """Tells which seasons are given often enough."""

    quarter_S: npt.NDArray[np.int64]
    """The index of the last neighbour that widens the standard error."""

    error_S: Floats
    """The least 1 - left_s of a candidate in white noise."""

    penalty_S: Floats
    """The factor of Akaike's criterion, corrected for few values."""


@lru_cache(maxsize=64)
def _known(count: int) -> _Known:
    """Return the quantities for `count` values. Requests often have the same length, so the last lengths are kept."""
    season_S = np.arange(1, min(LONGEST_SEASON, count // 2) + 1)
    line_N = np.arange(count) - (count - 1) / 2
    bow_N = line_N**2 - np.mean(line_N**2)
    return _Known(
        trend_2N=np.stack([line_N / np.linalg.norm(line_N), bow_N / np.linalg.norm(bow_N)]),
        enough_S=(season_S * OTHER_SEASONS <= count) | np.isin(season_S, CALENDAR),
        quarter_S=np.maximum(season_S // 4, 1) - 1,
        error_S=np.maximum(2, np.sqrt(2 * np.log(season_S))) / np.sqrt(count - season_S),
        penalty_S=np.exp(2 * season_S / (count - season_S)),
    )


def _without_trend(x_N: Floats, trend_2N: Floats) -> Floats:
    """Return what a parabola leaves of the values, and their differences less the mean: [2, N].

    A remainder that is no larger than the rounding of the values is 0.
    """
    x_N = x_N / (np.abs(x_N).max() or 1.0)  # no square of a value overflows or vanishes
    sequence_RN = np.zeros((2, len(x_N)))
    sequence_RN[0] = x_N - x_N.mean()
    sequence_RN[0] -= (trend_2N @ sequence_RN[0]) @ trend_2N
    sequence_RN[1, :-1] = x_N[1:] - x_N[:-1] - (x_N[-1] - x_N[0]) / (len(x_N) - 1)
    sequence_RN[np.abs(sequence_RN).max(axis=1) <= ROUNDING] = 0
    return sequence_RN


def _autocorrelation(sequence_RN: Floats, longest: int) -> Floats:
    """Return the autocorrelations [R, L] at the lags 0 to `longest`. Those of zeros are 0."""
    count = sequence_RN.shape[1]
    padded = 1 << (count + longest).bit_length()  # zeros keep the end from wrapping around to the start
    spectrum = np.fft.rfft(sequence_RN, padded)
    product_RL = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, padded)[:, : longest + 1]
    energy_RN = np.zeros((len(sequence_RN), count + 1))
    np.cumsum(sequence_RN**2, axis=1, out=energy_RN[:, 1:])
    early_RL, late_RL = energy_RN[:, : count - longest - 1 : -1], energy_RN[:, -1:] - energy_RN[:, : longest + 1]
    least_R1 = np.maximum(1e-6 * energy_RN[:, -1:], 1e-300)  # below it, a product is rounding
    correlation_RL: Floats = product_RL / np.maximum(np.sqrt(np.maximum(early_RL * late_RL, 0)), least_R1)
    return correlation_RL


def _left(r_RL: Floats, most: int, count: int) -> Floats:
    """Return the share of the changes that each season 1 to `most` leaves [R, S].

    The autocorrelations are those of `count` values. Windows of lags begin and end half a season beside a multiple, so
    their sums are taken between half lags: `sum_RH` has the sums of the variogram up to the lags 0, 1/2, 1, 3/2, ….
    """
    variogram_RL = 1 - r_RL
    last = r_RL.shape[1] - 1
    season_S = np.arange(1, most + 1)
    sum_RH = np.empty((len(r_RL), 2 * last + 2))
    np.cumsum(variogram_RL, axis=1, out=sum_RH[:, 1::2])
    sum_RH[:, ::2] = sum_RH[:, 1::2] - variogram_RL / 2
    own_RS = variogram_RL[:, 1 : most + 1].copy()
    multiples_S = np.ones(most, dtype=np.int64)
    for multiple in range(2, MULTIPLES + 1):
        used = min(int(FARTHEST * count), last) // multiple
        own_RS[:, :used] += variogram_RL[:, multiple : multiple * used + 1 : multiple][:, :most]
        multiples_S[:used] += 1
    end_S = np.minimum((2 * multiples_S + 1) * season_S, 2 * last)
    around_RS = (sum_RH[:, end_S] - sum_RH[:, 1 : most + 1]) / ((end_S - season_S) / 2)
    left_RS: Floats = np.maximum(own_RS / multiples_S, 0) / np.maximum(around_RS, 1e-12)
    return left_RS
