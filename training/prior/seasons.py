"""Seasons: the profile of one season, and series that repeat profiles.

Shape suffixes: B rows, T time, P positions in a season, K harmonics.
"""

import math

import numpy as np

from training.data import Floats
from training.prior.draws import Range, chosen, log_uniform, sometimes, standardised, uniform

HARMONICS = 12
DECAY: Range = (0, 2.5)
IRREGULAR = 0.2
PEAKED = 0.12
BLOCKED = 0.12
PEAK: Range = (2, 6)
CHANGING = 0.5
CHANGE: Range = (0.05, 1.2)
WEEK = 7
WEEKLY = 0.8
DAY_BESIDE_WEEK: Range = (0.3, 3)


def profile(random: np.random.Generator, count: int, season: int) -> Floats:
    """Return the profile [B, P] of one season, with mean 0 and deviation 1. A season of 1 has zeros.

    Most profiles are `harmonic`. The others are irregular, as different lengths of months and holidays cause, have two
    levels, as workdays and weekends, or have one high peak, as retail in December.
    """
    profile_BP = harmonic(random, count, season)
    kind_B = random.random(count)
    irregular_B = kind_B < IRREGULAR
    blocked_B = (kind_B >= IRREGULAR) & (kind_B < IRREGULAR + BLOCKED)
    peaked_B = kind_B >= 1 - PEAKED
    profile_BP[irregular_B] = random.standard_normal((int(irregular_B.sum()), season))
    profile_BP[blocked_B] = two_levels(random, int(blocked_B.sum()), season)
    profile_BP[peaked_B] += one_peak(random, int(peaked_B.sum()), season)
    return standardised(profile_BP)


def harmonic(random: np.random.Generator, count: int, season: int) -> Floats:
    """Return sums of sines [B, P] of the season's harmonics. The amplitudes fall with a random power of the order."""
    most = min(max(1, season // 2), HARMONICS)
    order_K = np.arange(1, most + 1)
    used_BK = order_K <= random.integers(1, most + 1, (count, 1))
    amplitude_BK = used_BK * order_K ** -uniform(random, count, DECAY)
    angle_KP = math.tau * order_K[:, None] * np.arange(season) / season
    sine_BK, cosine_BK = amplitude_BK * random.standard_normal((2, count, most))
    sum_BP: Floats = sine_BK @ np.sin(angle_KP) + cosine_BK @ np.cos(angle_KP)
    return sum_BP


def two_levels(random: np.random.Generator, count: int, season: int) -> Floats:
    """Return two levels [B, P], 0 and 1 with little noise: one of them for up to half of the season."""
    start_B1 = random.integers(0, season, (count, 1))
    width_B1 = random.integers(1, season // 2 + 2, (count, 1))
    inside_BP = (np.arange(season) - start_B1) % season < width_B1
    return inside_BP + 0.1 * random.standard_normal((count, season))


def one_peak(random: np.random.Generator, count: int, season: int) -> Floats:
    """Return zeros [B, P] but for one high peak."""
    peak_BP: Floats = log_uniform(random, count, PEAK) * (np.arange(season) == random.integers(0, season, (count, 1)))
    return peak_BP


def repeated(profile_BP: Floats, length: int) -> Floats:
    """Return a profile repeated to rows [B, T]."""
    return profile_BP[:, np.arange(length) % profile_BP.shape[1]]


def seasonal(random: np.random.Generator, count: int, length: int, season: int) -> Floats:
    """Return rows [B, T] that repeat a profile, which half of them change slowly, as habits of consumers do.

    Most rows are `day_and_week` if the season is a multiple of 7.
    """
    first_BP, last_BP = np.split(profile(random, 2 * count, season), 2)
    change_BT = sometimes(random, count, CHANGING, CHANGE) * np.linspace(0, 1, length)
    repeated_BT = repeated(first_BP, length) + change_BT * repeated(last_BP, length)
    if season > WEEK and season % WEEK == 0:
        weekly_B = chosen(random, count, WEEKLY)
        repeated_BT[weekly_B] = day_and_week(random, int(weekly_B.sum()), length, season // WEEK)
    return repeated_BT


def day_and_week(random: np.random.Generator, count: int, length: int, day: int) -> Floats:
    """Return rows [B, T] of days within weeks, as loads, traffic and visitors by the hour have.

    Each row adds the profile of a day, a level for each day of the week, and a profile of the whole week. The size
    of the days differs between the days of the week, as it does between workdays and weekends.
    """
    day_BT = repeated(profile(random, count, day), length)
    weekday_BT = repeated(np.repeat(profile(random, count, WEEK), day, axis=1), length)
    week_BT = repeated(profile(random, count, WEEK * day), length)
    modulation_BT = 1 + uniform(random, count, (0, 0.4)) * weekday_BT
    share_B1 = log_uniform(random, count, DAY_BESIDE_WEEK)
    return share_B1 * day_BT * modulation_BT + weekday_BT + uniform(random, count, (0, 0.5)) * week_BT
