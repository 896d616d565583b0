"""The catalogue of the synthetic prior: the share of each kind of series, and batches of them.

Shape suffixes: B rows, T time.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from training.data import Floats
from training.prior.effects import in_own_units, with_effects
from training.prior.kinds import (
    exponential_smoothing,
    hours,
    price,
    seasonal_autoregression,
    structural,
    temperature,
    walk,
    wandering_cycle,
    wave,
)
from training.prior.positive import bounded, counts, daylight, growth, intermittent

Kind = Callable[[np.random.Generator, int, int, int], Floats]
"""A kind of series: a function from a generator, a number of rows B, a length T and a season to rows [B, T]."""

CLEAN: frozenset[Kind] = frozenset({wave})
"""Kinds without outliers, floors and rounding. A model has to continue them exactly."""

NEEDS_SEASON: frozenset[Kind] = frozenset({hours, daylight})
"""Kinds that there are none of without a season."""

SHARES: Mapping[Kind, float] = MappingProxyType(
    {
        structural: 0.24,
        exponential_smoothing: 0.27,
        growth: 0.08,
        seasonal_autoregression: 0.05,
        hours: 0.05,
        wandering_cycle: 0.07,
        temperature: 0.04,
        wave: 0.06,
        walk: 0.03,
        price: 0.02,
        counts: 0.04,
        bounded: 0.02,
        daylight: 0.02,
        intermittent: 0.01,
    }
)
"""The share of each kind, of a sum that need not be 1. Kinds that need a season have none without one."""


def batch(
    random: np.random.Generator, count: int, length: int, season: int, shares: Mapping[Kind, float] = SHARES
) -> Floats:
    """Return random series [B, T], finite, none of them constant, each with the standard deviation 1.

    The same state of the generator gives the same series.

    Args:
        random: the generator of everything random.
        count: number of rows, B.
        length: number of values of each row, T, at least 2.
        season: season of all rows in steps, 1 for none.
        shares: the share of each kind, of any sum.

    Raises:
        ValueError: a number is too small, or no kind has a share.
    """
    if count < 1 or length < 2 or season < 1:
        raise ValueError(f"count {count} and season {season} must be at least 1, and length {length} at least 2")
    kinds = [kind for kind in shares if season > 1 or kind not in NEEDS_SEASON]
    weights = np.array([shares[kind] for kind in kinds])
    if not weights.sum() > 0:
        raise ValueError(f"no kind of series has a share for season {season}")
    kind_B = random.choice(len(kinds), count, p=weights / weights.sum())
    x_BT = np.empty((count, length))
    for index in np.unique(kind_B):
        is_kind_B = kind_B == index
        x_BT[is_kind_B] = kinds[index](random, int(is_kind_B.sum()), length, season)
    disturbed_B = np.array([kind not in CLEAN for kind in kinds])[kind_B]
    return in_own_units(random, with_effects(random, x_BT, disturbed_B))
