"""Components of series: trends, level shifts, cycles and noise. Each function returns rows [B, T].

Shape suffixes: B rows, T time, L lags.
"""

import math

import numpy as np

from training.data import Floats
from training.prior.draws import Range, chosen, log_uniform, signs, standardised, uniform
from training.prior.recursions import autoregression

HEAVY_TAILED = 0.25
DEGREES_OF_FREEDOM = 3
NOISE_MEMORY: Range = (-0.3, 0.95)
SWELLS: Range = (0.3, 1.5)
CYCLE_PERIOD: Range = (5, 80)
CYCLE_MEMORY: Range = (0.9, 0.999)
VOLATILITY_MEMORY: Range = (0.8, 0.99)
VOLATILITY: Range = (0.1, 1.0)
WARM_UP = 60
"""Steps of a recursion before the first value that is kept, so that it does not begin from zeros."""


def innovations(random: np.random.Generator, count: int, length: int) -> Floats:
    """Return white noise. It is normal, or has the heavy tails of Student's t, as sales with surprises do."""
    noise_BT = random.standard_normal((count, length))
    heavy_B = chosen(random, count, HEAVY_TAILED)
    noise_BT[heavy_B] = random.standard_t(DEGREES_OF_FREEDOM, (int(heavy_B.sum()), length)) / math.sqrt(3)
    return noise_BT


def noise(random: np.random.Generator, count: int, length: int, memory: Range = NOISE_MEMORY) -> Floats:
    """Return autoregressive noise of order 1: errors of measurement where memory is short, weather where it is long."""
    memory_B1 = uniform(random, count, memory)
    noise_BT = innovations(random, count, length + WARM_UP)
    return standardised(autoregression(noise_BT, memory_B1, np.array([1]))[:, WARM_UP:])


def trend(random: np.random.Generator, count: int, length: int) -> Floats:
    """Return a straight line from 0 to 1 or to -1, as populations and the demand for electricity have for decades."""
    return signs(random, count) * np.linspace(0, 1, length)


def swell(random: np.random.Generator, count: int, length: int) -> Floats:
    """Return a slow sine of about one period in all, as business cycles and fashions are in a few years of data."""
    angle_BT = math.tau * uniform(random, count, SWELLS) * np.linspace(0, 1, length)
    return np.sin(angle_BT + uniform(random, count, (0, math.tau)))


def random_walk(random: np.random.Generator, count: int, length: int) -> Floats:
    """Return sums of white noise, of size 1 after all steps, as exchange rates are."""
    return innovations(random, count, length).cumsum(axis=1) / math.sqrt(length)


def smooth_walk(random: np.random.Generator, count: int, length: int) -> Floats:
    """Return a walk whose slope is a random walk, as employment and prices of houses have momentum."""
    return standardised(random.standard_normal((count, length)).cumsum(axis=1).cumsum(axis=1))


def level_shift(random: np.random.Generator, count: int, length: int) -> Floats:
    """Return a step of size 1 at a random time, as laws, strikes and new ways of counting leave."""
    return signs(random, count) * (np.arange(length) >= random.integers(0, length, (count, 1)))


def cycle(random: np.random.Generator, count: int, length: int, period_B1: Floats | None = None) -> Floats:
    """Return an autoregressive cycle of order 2, whose amplitude and phase wander, as sunspots and animals have.

    The roots are m exp(±i 2π / period), with memory m: Yule, *Phil. Trans. R. Soc. A* 226, 1927. The periods are random
    if none are given.
    """
    if period_B1 is None:
        period_B1 = log_uniform(random, count, CYCLE_PERIOD)
    memory_B1 = uniform(random, count, CYCLE_MEMORY)
    weight_BL = np.concatenate([2 * memory_B1 * np.cos(math.tau / period_B1), -(memory_B1**2)], axis=1)
    noise_BT = random.standard_normal((count, length + WARM_UP))
    return standardised(autoregression(noise_BT, weight_BL, np.array([1, 2]))[:, WARM_UP:])


def volatile_noise(random: np.random.Generator, count: int, length: int) -> Floats:
    """Return white noise whose variance wanders, as the returns of shares have quiet and nervous months.

    The logarithm of the deviation is autoregressive: Taylor, *Modelling Financial Time Series*, 1986.
    """
    log_deviation_BT = noise(random, count, length, VOLATILITY_MEMORY)
    return innovations(random, count, length) * np.exp(log_uniform(random, count, VOLATILITY) * log_deviation_BT)
