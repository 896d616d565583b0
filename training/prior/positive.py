"""Kinds of series that are never negative. Each function returns rows [B, T].

`season` is the season that the model will be told. It is 1 where there is none.

Shape suffixes: B rows, T time.
"""

import numpy as np

from training.data import Floats
from training.prior.components import noise, random_walk, swell
from training.prior.draws import Range, chosen, log_uniform, sometimes, standardised, uniform
from training.prior.kinds import level, structural
from training.prior.seasons import profile, repeated, seasonal

TOTAL_GROWTH: Range = (0.2, 3)
LOG_SEASON: Range = (0.03, 0.4)
LOG_NOISE: Range = (0.005, 0.1)
MEAN_COUNT: Range = (0.3, 50)
LOG_RATE: Range = (0.1, 0.8)
DEMAND: Range = (0.05, 0.6)
MEAN_SIZE: Range = (1, 20)
STEEPNESS: Range = (0.3, 2)
CLOUDS: Range = (0.1, 0.6)


def growth(random: np.random.Generator, count: int, length: int, season: int) -> Floats:
    """Return exponential growth with a season of the same relative size: passengers of airlines, turnover, drug sales.

    The rate of growth changes slowly.
    """
    rising_BT = np.linspace(0, 1, length) + 0.3 * random_walk(random, count, length)
    rising_BT += sometimes(random, count, 0.4, (0.1, 0.5)) * swell(random, count, length)
    season_BT = log_uniform(random, count, LOG_SEASON) * seasonal(random, count, length, season)
    noise_BT = log_uniform(random, count, LOG_NOISE) * noise(random, count, length)
    return np.exp(log_uniform(random, count, TOTAL_GROWTH) * rising_BT + season_BT + noise_BT)


def counts(random: np.random.Generator, count: int, length: int, season: int) -> Floats:
    """Return whole numbers of events at a rate with level and season: visits, accidents, calls, sales of an item.

    They have Poisson's distribution, or a negative binomial one where customers come in groups.
    """
    log_rate_BT = log_uniform(random, count, LOG_RATE) * standardised(structural(random, count, length, season))
    rate_BT = log_uniform(random, count, MEAN_COUNT) * np.exp(np.clip(log_rate_BT, -4, 4))
    grouped_B = chosen(random, count, 0.4)
    shape_B1 = log_uniform(random, count, (1, 20))[grouped_B]
    rate_BT[grouped_B] *= random.gamma(np.broadcast_to(shape_B1, rate_BT[grouped_B].shape)) / shape_B1
    return random.poisson(rate_BT).astype(np.float64)


def intermittent(random: np.random.Generator, count: int, length: int, season: int) -> Floats:
    """Return mostly zeros, and sometimes a demand: spare parts, rain, rare items.

    The probability of a demand has a season in half of the rows: Croston, *Oper. Res. Q.* 23(3), 1972.
    """
    season_BT = sometimes(random, count, 0.5, (0.3, 1)) * repeated(profile(random, count, season), length)
    demanded_BT = random.random((count, length)) < log_uniform(random, count, DEMAND) * np.exp(season_BT)
    size_BT = random.geometric(1 / np.broadcast_to(log_uniform(random, count, MEAN_SIZE), (count, length)))
    return (demanded_BT * size_BT).astype(np.float64)


def bounded(random: np.random.Generator, count: int, length: int, season: int) -> Floats:
    """Return shares between 0 and 1 that slow down near both ends: occupancy, market shares, humidity."""
    x_BT = standardised(structural(random, count, length, season))
    steep_B1 = log_uniform(random, count, STEEPNESS)
    return 1 / (1 + np.exp(-np.clip(steep_B1 * x_BT + uniform(random, count, (-2, 2)), -30, 30)))


def daylight(random: np.random.Generator, count: int, length: int, season: int) -> Floats:
    """Return a hill in each season, exact zeros between, and clouds that lower it, as solar power has."""
    hill_BT = np.cos(2 * np.pi * (np.arange(length) / max(season, 2) + random.random((count, 1))))
    hill_BT = np.maximum(hill_BT - uniform(random, count, (-0.6, 0.5)), 0) ** uniform(random, count, (0.7, 1.5))
    clouds_BT = log_uniform(random, count, CLOUDS) * noise(random, count, length, (0.5, 0.95))
    slow_BT = sometimes(random, count, 0.5, (0.05, 0.3)) * level(random, count, length)
    return hill_BT * np.clip(1 + slow_BT - np.abs(clouds_BT), 0.02, None)
