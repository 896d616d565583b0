"""Kinds of series. Each function returns rows [B, T] in units of their own, which `training/prior/effects.py` finishes.

`season` is the season that the model will be told. It is 1 where there is none.

Shape suffixes: B rows, T time, L lags, P positions in a season.
"""

import math

import numpy as np

from training.data import Floats
from training.prior.components import (
    WARM_UP,
    cycle,
    innovations,
    level_shift,
    noise,
    random_walk,
    smooth_walk,
    swell,
    trend,
    volatile_noise,
)
from training.prior.draws import Range, chosen, log_uniform, signs, sometimes, standardised, uniform
from training.prior.recursions import autoregression, smoothing
from training.prior.seasons import day_and_week, profile, seasonal

TREND: Range = (0.2, 6)
SWELL: Range = (0.3, 3)
WALK: Range = (0.1, 4)
SMOOTH_WALK: Range = (0.3, 3)
CYCLE: Range = (0.1, 1.5)
SHIFT: Range = (0.3, 3)
SEASON: Range = (0.1, 4)
NOISE: Range = (0.02, 1.2)
GROWTH_OF_SEASON: Range = (0.3, 6)
FIRST_SLOPE: Range = (0.003, 0.15)
FIRST_SEASON: Range = (0.3, 12)
LOG_DEVIATION: Range = (0.05, 0.8)
DAMPING: Range = (0.8, 0.99)
SEASONAL_WEIGHT: Range = (0.5, 0.98)
RECENT_WEIGHT: Range = (-0.3, 0.6)
WAVE_PERIOD: Range = (4, 64)
WAVE_NOISE: Range = (0.001, 0.2)
WEATHER_MEMORY: Range = (0.6, 0.95)
DAYS_OF_A_YEAR: Range = (250, 500)
DRIFT: Range = (-0.1, 0.1)


def level(random: np.random.Generator, count: int, length: int) -> Floats:
    """Return levels that move: random sums of a trend, a swell, walks, a cycle and up to two shifts."""

    def some(share: float, between: Range) -> Floats:
        return sometimes(random, count, share, between)

    return (
        some(0.6, TREND) * trend(random, count, length)
        + some(0.25, SWELL) * swell(random, count, length)
        + some(0.6, WALK) * random_walk(random, count, length)
        + some(0.2, SMOOTH_WALK) * smooth_walk(random, count, length)
        + some(0.35, CYCLE) * cycle(random, count, length)
        + some(0.08, SHIFT) * level_shift(random, count, length)
        + some(0.08, SHIFT) * level_shift(random, count, length)
    )


def structural(random: np.random.Generator, count: int, length: int, season: int) -> Floats:
    """Return a level, a season and noise, as most economic series are split by statistical offices.

    In some rows the season, or season and noise, grow with the level: production, arrivals of tourists.
    """
    level_BT = level(random, count, length)
    lowest_B1, highest_B1 = level_BT.min(axis=1, keepdims=True), level_BT.max(axis=1, keepdims=True)
    height_BT = (level_BT - lowest_B1) / np.maximum(highest_B1 - lowest_B1, 1e-9)
    growth_BT = 1 + sometimes(random, count, 0.4, GROWTH_OF_SEASON) * height_BT
    growth_BT /= growth_BT.mean(axis=1, keepdims=True)
    season_BT = sometimes(random, count, 0.92, SEASON) * seasonal(random, count, length, season)
    noise_BT = sometimes(random, count, 0.97, NOISE) * noise(random, count, length)
    noise_BT *= np.where(random.random((count, 1)) < 0.6, growth_BT, 1.0)
    x_BT: Floats = level_BT + season_BT * growth_BT + noise_BT
    return x_BT


def exponential_smoothing(random: np.random.Generator, count: int, length: int, season: int) -> Floats:
    """Return an innovations state space model with level, slope and season, as most business series are forecast with.

    Nearly half of the rows are the exponential of one, in which trend, season and errors are multiplicative.
    """
    noise_BT = innovations(random, count, length)
    remembered_B = chosen(random, count, 0.2)
    noise_BT[remembered_B] = noise(random, int(remembered_B.sum()), length, (-0.3, 0.7))
    fast_B, damped_B = chosen(random, count, 0.25), chosen(random, count, 0.5)
    alpha_B = np.where(fast_B, random.uniform(0.8, 1, count), random.random(count) ** 1.5)
    beta_B = chosen(random, count, 0.5) * alpha_B * random.uniform(0, 0.15, count) * np.where(damped_B, 1, 0.15)
    damping_B = np.where(damped_B, random.uniform(*DAMPING, count), 1.0)
    gamma_B = chosen(random, count, 0.8) * random.uniform(0, 0.5, count) ** 1.5 * (1 - 0.7 * alpha_B)
    slope_B = (sometimes(random, count, 0.5, FIRST_SLOPE) * signs(random, count))[:, 0] * np.where(damped_B, 3, 1)
    profile_BP = sometimes(random, count, 0.85, FIRST_SEASON) * profile(random, count, season)
    weight_B4 = np.stack([alpha_B, beta_B, damping_B, gamma_B * (season > 1)], axis=1)
    x_BT = smoothing(noise_BT, weight_B4, slope_B, profile_BP)
    multiplicative_B = chosen(random, count, 0.45)
    scale_B1 = log_uniform(random, count, LOG_DEVIATION)[multiplicative_B]
    x_BT[multiplicative_B] = np.exp(standardised(x_BT[multiplicative_B]) * scale_B1)
    return x_BT


def seasonal_autoregression(random: np.random.Generator, count: int, length: int, season: int) -> Floats:
    """Return (1 - φ B)(1 - Φ B^s) x = e, a season that is born from noise and changes, as births and river flows do."""
    recent_B1, seasonal_B1 = uniform(random, count, RECENT_WEIGHT), uniform(random, count, SEASONAL_WEIGHT)
    if season == 1:
        weight_BL, lag_L = np.concatenate([recent_B1, seasonal_B1 * (1 - recent_B1)], axis=1), np.array([1, 2])
    else:
        weight_BL = np.concatenate([recent_B1, seasonal_B1, -recent_B1 * seasonal_B1], axis=1)
        lag_L = np.array([1, season, season + 1])
    begin = 2 * season + WARM_UP
    noise_BT = innovations(random, count, length + begin)
    noise_BT[:, :season] += 3 * profile(random, count, season)
    x_BT = standardised(autoregression(noise_BT, weight_BL, lag_L)[:, begin:])
    return x_BT + sometimes(random, count, 0.5, TREND) * trend(random, count, length)


def wandering_cycle(random: np.random.Generator, count: int, length: int, season: int) -> Floats:
    """Return cycles whose length and height wander, with sharp peaks: sunspots, lynx, prices of pigs, business cycles.

    Their mean period is near the season, and random where there is none.
    """
    near_B1 = season * np.exp(0.06 * random.standard_normal((count, 1)))
    x_BT = cycle(random, count, length, np.maximum(near_B1, 2.5) if season > 2 else None)
    shape_B = random.random(count)
    clipped_B, pointed_B = shape_B < 0.35, (shape_B >= 0.35) & (shape_B < 0.7)
    lifted_BT = np.maximum(x_BT[clipped_B] + uniform(random, int(clipped_B.sum()), (0.5, 1.5)), 0)
    x_BT[clipped_B] = lifted_BT ** uniform(random, int(clipped_B.sum()), (1, 2.5))
    x_BT[pointed_B] = np.exp(x_BT[pointed_B] * uniform(random, int(pointed_B.sum()), (0.3, 1.2)))
    x_BT = standardised(x_BT) + sometimes(random, count, 0.3, (0.2, 1.5)) * seasonal(random, count, length, season)
    return x_BT + uniform(random, count, (0, 0.5)) * noise(random, count, length)


def wave(random: np.random.Generator, count: int, length: int, season: int) -> Floats:
    """Return sines, clean or with little noise, as tides and rotating machines measure.

    Half of the periods round to the season, and the others are random. Some rows have a second sine.
    """
    period_B1 = log_uniform(random, count, WAVE_PERIOD)
    near_B1 = np.maximum(season + uniform(random, count, (-0.5, 0.5)), 2.5)
    period_B1 = np.where((random.random((count, 1)) < 0.5) & (season > 2), near_B1, period_B1)
    other_B1 = log_uniform(random, count, WAVE_PERIOD)
    angle_BT, other_BT = (
        math.tau * (np.arange(length) / each_B1 + random.random((count, 1))) for each_B1 in (period_B1, other_B1)
    )
    noise_BT = sometimes(random, count, 0.3, WAVE_NOISE) * random.standard_normal((count, length))
    return np.sin(angle_BT) + sometimes(random, count, 0.25, (0.1, 1)) * np.sin(other_BT) + noise_BT


def walk(random: np.random.Generator, count: int, length: int, season: int) -> Floats:
    """Return random walks, with a drift or with momentum, and with little season: exchange rates, prices of crops."""
    x_BT = random_walk(random, count, length) * math.sqrt(length)
    x_BT += np.where(random.random((count, 1)) < 0.5, uniform(random, count, DRIFT), 0) * np.arange(length)
    x_BT += sometimes(random, count, 0.3, (1, 30)) * smooth_walk(random, count, length)
    return x_BT + sometimes(random, count, 0.3, (0.1, 1)) * seasonal(random, count, length, season)


def temperature(random: np.random.Generator, count: int, length: int, season: int) -> Floats:
    """Return a smooth year and weather with a memory, whose variance follows the year: temperatures, water levels.

    The year is longer than most contexts where there is no season, as it is for daily values.
    """
    year_B1 = np.full((count, 1), float(season)) if season > 2 else log_uniform(random, count, DAYS_OF_A_YEAR)
    angle_BT = math.tau * (np.arange(length) / year_B1 + random.random((count, 1)))
    second_BT = uniform(random, count, (0, 0.3)) * np.cos(2 * angle_BT + uniform(random, count, (0, math.tau)))
    weather_BT = noise(random, count, length, WEATHER_MEMORY) * (
        1 + uniform(random, count, (-0.5, 0.5)) * np.cos(angle_BT)
    )
    warming_BT = sometimes(random, count, 0.3, (0.1, 1)) * trend(random, count, length)
    return np.cos(angle_BT) + second_BT + log_uniform(random, count, (0.1, 1)) * weather_BT + warming_BT


def price(random: np.random.Generator, count: int, length: int, season: int) -> Floats:
    """Return prices, whose relative changes are volatile noise with a small drift: shares, currencies, commodities."""
    change_BT = 0.02 * volatile_noise(random, count, length) + uniform(random, count, (-0.002, 0.003))
    season_BT = sometimes(random, count, 0.1, (0.005, 0.05)) * seasonal(random, count, length, season)
    return np.exp(np.clip(change_BT.cumsum(axis=1) + season_BT, -20, 20))


def hours(random: np.random.Generator, count: int, length: int, season: int) -> Floats:
    """Return days within weeks: the load of a grid, pedestrians, prices of electricity by the hour.

    A season that is a multiple of 7 is the week. Any other is the day, and the week is what the season does not say.
    """
    day = season // 7 if season > 7 and season % 7 == 0 else season
    week_BT = day_and_week(random, count, length, day)
    level_BT = sometimes(random, count, 0.7, (0.1, 2)) * level(random, count, length)
    return week_BT + level_BT + log_uniform(random, count, (0.05, 1)) * noise(random, count, length, (0.3, 0.95))
