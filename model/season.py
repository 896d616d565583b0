"""The season of a request: the number of steps after which its values repeat, found in the values alone.

Two sequences are made of the values: what a parabola leaves of them, and their differences. The first shows smooth
seasons. The second shows seasons beside a level that wanders. A few outliers would hide the season from both, because
they have most of the sum of squares. So each sequence is cut into 8 parts, and its values are clipped to twice the
largest magnitude in the part that is the sixth by this magnitude. Peaks of a season are in more parts than two.

Each sequence has an autocorrelation r_l at each lag l: the sum of the products of the values l apart, divided by the
root of the sums of squares of both factors. This root counts for at least a quarter of its value in a sequence of even
size, or else the constant ends of a step would be alike. Then 1 - r_l is the variogram, half of the mean square of what
changes in l steps, in units of the variance.

    own_s    = mean of 1 - r_l at the lags s, 2s and 3s
    around_s = mean of 1 - r_l at all lags from s/2 to 7s/2
    left_s   = own_s / around_s

left_s is the share of the changes that a season s does not explain. It is near 1 for every s in noise, in random walks
and in slow cycles, and near 0 for the season of a clean seasonal series. A lag is a candidate if left_s of one sequence
has a minimum there, and if 1 - left_s is larger than max(2, sqrt(2 log s)) of Bartlett's standard errors of r_s,

    sqrt((1 + 2 (r_1² + … + r_q²)) / (N - s)),      q = s / 4.

The largest of s errors is about sqrt(2 log s) of them. The correlations of neighbours widen the error (Bartlett, "On
the theoretical specification and sampling properties of autocorrelated time-series", *Suppl. J. R. Stat. Soc.* 8(1),
1946). Those of farther values are left out, because they are large in a seasonal series itself. The error of a few
periods of a smooth wave is above 1 all the same, so a lag with left_s below `CLEAR` needs no test of it.

The geometric mean of left_s in both sequences must be below 1 by `LEAST_EXPLAINED`, and by more for few values.
Candidates are compared by this mean times exp(2 s / (N - s)): a profile of s numbers is estimated from N values, and
this is the factor of Akaike's criterion for few values (Hurvich and Tsai, *Biometrika* 76(2), 1989). The shortest
candidate wins that is as good as the best one within the error of the comparison. So a multiple of the season is not
taken for it, and a week is taken instead of a day where days of the week differ.

Two large changes can be s apart by chance, as in prices that stay the same for long. So the values s apart have to
agree in more than two places. The sum of their products must be at least `LEAST_AGREEMENT` of its standard errors. The
standard error is the root of the sum of their squares, which holds if the products differ in size (White,
*Econometrica* 48(4), 1980). Two equal products alone sum to sqrt(2) of it.

Shape suffixes: N values, R = 2 sequences, L lags, S seasons from 1 on, H half lags, P products or parts.
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

PARTS, USUAL, OUTLIER = 8, 6, 2.0
"""Values are clipped to OUTLIER times the largest magnitude in the part of rank USUAL of PARTS.

A season that is there three times has its peaks in at least three parts.
"""

FEWEST_CLIPPED = 2 * PARTS
"""Fewer values are not clipped: a part would be a single value."""

LEAST_ENERGY = 0.25
"""The least denominator of an autocorrelation, as a fraction of that of a sequence of even size."""

CLEAR = 0.05
"""A season that leaves less than this of the changes of one sequence is found without a test of significance."""

LEAST_AGREEMENT, OF_FEW_PRODUCTS = 1.5, 0.3
"""The products must sum to the smaller of LEAST_AGREEMENT and OF_FEW_PRODUCTS sqrt(N - s) standard errors."""

LEAST_EXPLAINED, OF_FEW_VALUES = 0.15, 2.5
"""A season has to explain the larger of LEAST_EXPLAINED and OF_FEW_VALUES / sqrt(N) of the changes."""

TOLERANCE = 5.0
"""A season is as good as the best one if what it leaves is larger by a factor of at most 1 + TOLERANCE / sqrt(N)."""

NEAR_CALENDAR = 0.05
"""A season of the calendar is taken if it is as good as the one found, and differs from it by at most this fraction."""

FEW_PERIODS = 4
"""In fewer periods, lags beside the season of a smooth wave are as good. So a clear season of the calendar is taken."""

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
    significant_RS = minimum_RS & (left_RS[:, 1:-1] < np.maximum(1 - error_RS[:, 1:], CLEAR))
    candidate_S = known.enough_S & (together_S < 1 - max(LEAST_EXPLAINED, OF_FEW_VALUES / math.sqrt(count)))
    candidate_S[0] = False
    candidate_S[1:] &= significant_RS.any(axis=0)
    if not candidate_S.any():
        return 1
    compared_S = known.penalty_S * together_S
    factor = 1 + TOLERANCE / math.sqrt(count)
    good_S = candidate_S & (compared_S <= factor * compared_S[candidate_S].min())
    found = int(good_S.argmax()) + 1
    if not any(_agrees(sequence_RN[row], found) for row in np.flatnonzero(significant_RS[:, found - 2])):
        return 1
    for season in CALENDAR:
        if abs(season - found) <= NEAR_CALENDAR * found and season <= longest:
            most = factor * compared_S[found - 1]
            if count < FEW_PERIODS * season:
                most = max(most, CLEAR * known.penalty_S[season - 1])
            return season if compared_S[season - 1] <= most else found
    return found


def _agrees(z_N: Floats, season: int) -> bool:
    """Return whether the values a season apart are alike in more than two places."""
    product_P = z_N[season:] * z_N[:-season]
    least = min(LEAST_AGREEMENT, OF_FEW_PRODUCTS * math.sqrt(len(product_P)))
    return bool(product_P.sum() >= least * math.sqrt(product_P @ product_P))


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
    """Return what a parabola leaves of the values, and their differences less the mean, without outliers: [2, N].

    A remainder that is no larger than the rounding of the values is 0.
    """
    x_N = x_N / (np.abs(x_N).max() or 1.0)  # no square of a value overflows or vanishes
    sequence_RN = np.zeros((2, len(x_N)))
    sequence_RN[0] = x_N - x_N.mean()
    sequence_RN[0] -= (trend_2N @ sequence_RN[0]) @ trend_2N
    sequence_RN[1, :-1] = x_N[1:] - x_N[:-1] - (x_N[-1] - x_N[0]) / (len(x_N) - 1)
    if len(x_N) >= FEWEST_CLIPPED:
        size_RN = np.abs(sequence_RN)
        largest_RP = np.maximum.reduceat(size_RN, np.arange(PARTS) * len(x_N) // PARTS, axis=1)
        most_R1 = OUTLIER * np.sort(largest_RP, axis=1)[:, USUAL - 1 : USUAL]
        if (size_RN > most_R1).any():
            np.clip(sequence_RN, -most_R1, most_R1, out=sequence_RN)
            sequence_RN[0] -= sequence_RN[0].mean()
            sequence_RN[0] -= (trend_2N @ sequence_RN[0]) @ trend_2N
            sequence_RN[1, :-1] -= sequence_RN[1, :-1].mean()
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
    even_L = LEAST_ENERGY * (1 - np.arange(longest + 1) / count)
    least_RL = np.maximum(even_L * energy_RN[:, -1:], 1e-300)
    correlation_RL: Floats = product_RL / np.maximum(np.sqrt(np.maximum(early_RL * late_RL, 0)), least_RL)
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
