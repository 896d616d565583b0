"""Effects that any series may have: outliers, floors, ceilings, rounding and a level.

Shape suffixes: B rows, T time.
"""

import numpy as np

from training.data import Floats
from training.prior.draws import Mask, Range, chosen, log_uniform, signs, standardised

WITH_OUTLIERS = 0.08
OUTLIERS: Range = (0.003, 0.02)
OUTLIER_SIZE: Range = (1.5, 6)
WITH_FLOOR = 0.06
WITH_CEILING = 0.02
CUT: Range = (0.05, 0.45)
ROUNDED = 0.1
STEPS: Range = (3, 100)
POSITIVE = 0.5
ABOVE_ZERO: Range = (0.02, 20)


def outliers(random: np.random.Generator, x_BT: Floats) -> Floats:
    """Return rows some of whose values are far off, as failures of sensors, strikes and single orders are."""
    share_B1 = log_uniform(random, len(x_BT), OUTLIERS)
    size_BT = log_uniform(random, x_BT.size, OUTLIER_SIZE).reshape(x_BT.shape) * x_BT.std(axis=1, keepdims=True)
    size_BT *= signs(random, x_BT.size).reshape(x_BT.shape)
    changed_BT: Floats = x_BT + (random.random(x_BT.shape) < share_B1) * size_BT
    return changed_BT


def floor(random: np.random.Generator, x_BT: Floats) -> Floats:
    """Return rows whose lowest values are cut off, as those of stocks, of limits of detection and of sold out items."""
    order_BT, place_B = np.sort(x_BT, axis=1), random.uniform(*CUT, len(x_BT)) * x_BT.shape[1]
    changed_BT: Floats = np.maximum(x_BT, order_BT[np.arange(len(x_BT)), place_B.astype(np.int64)][:, None])
    return changed_BT


def ceiling(random: np.random.Generator, x_BT: Floats) -> Floats:
    """Return rows whose highest values are cut off, as those of full capacity are."""
    return -floor(random, -x_BT)


def rounded(random: np.random.Generator, x_BT: Floats) -> Floats:
    """Return rows of few different values, as prices in whole coins and percentages are."""
    step_B1 = np.ptp(x_BT, axis=1, keepdims=True) / log_uniform(random, len(x_BT), STEPS)
    changed_BT: Floats = step_B1 * np.round(x_BT / np.where(step_B1 > 0, step_B1, 1.0))
    return changed_BT


def lifted(random: np.random.Generator, x_BT: Floats) -> Floats:
    """Return positive rows, as amounts are: their lowest value is a random number of deviations above 0."""
    above_B1 = log_uniform(random, len(x_BT), ABOVE_ZERO)
    changed_BT: Floats = x_BT - x_BT.min(axis=1, keepdims=True) + above_B1 * x_BT.std(axis=1, keepdims=True)
    return changed_BT


def with_effects(random: np.random.Generator, x_BT: Floats, disturbed_B: Mask) -> Floats:
    """Return rows to which each effect has happened with its own probability.

    Only rows of `disturbed_B` have outliers, floors, ceilings and rounding. Any row may be lifted.
    """
    x_BT = x_BT.copy()
    for share, effect in DISTURBANCES:
        chosen_B = chosen(random, len(x_BT), share) & disturbed_B
        x_BT[chosen_B] = effect(random, x_BT[chosen_B])
    positive_B = chosen(random, len(x_BT), POSITIVE)
    x_BT[positive_B] = lifted(random, x_BT[positive_B])
    return x_BT


DISTURBANCES = ((WITH_OUTLIERS, outliers), (WITH_FLOOR, floor), (WITH_CEILING, ceiling), (ROUNDED, rounded))
"""The effects that disturb a series, and the share of rows that each of them happens to."""


def in_own_units(random: np.random.Generator, x_BT: Floats) -> Floats:
    """Return rows whose standard deviation is 1. A row that is constant becomes white noise.

    Positive rows stay positive: only the scale changes.
    """
    scale_B1 = x_BT.std(axis=1, keepdims=True)
    size_B1 = np.abs(x_BT).max(axis=1, keepdims=True)
    constant_B = (scale_B1 <= 1e-9 * size_B1)[:, 0] | (np.ptp(x_BT, axis=1) == 0)
    x_BT = x_BT / np.where(scale_B1 > 0, scale_B1, 1.0)
    x_BT[constant_B] = standardised(random.standard_normal((int(constant_B.sum()), x_BT.shape[1])))
    return x_BT
