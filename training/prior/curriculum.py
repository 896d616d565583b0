"""The tasks of training batches: the season, the number of values given, and the number that is forecast."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from model.season import LONGEST_SEASON
from training.prior.draws import Range, log_uniform

SEASONS: Mapping[int, float] = MappingProxyType(
    {1: 12, 4: 6, 5: 2, 6: 2, 7: 10, 8: 1, 10: 3, 11: 3, 12: 26, 13: 1, 24: 12, 26: 1, 28: 1, 30: 3, 48: 4, 52: 4}
    | {60: 0.5, 96: 0.5, 144: 0.3, 168: 2, 288: 0.2, 336: 0.5, 365: 0.5, 366: 0.2}
)
"""The weights of the seasons of calendars and clocks. A share of all batches, `ANY_SEASON`, has another season."""

ANY_SEASON = 0.08
OTHER_SEASON: Range = (2, 120)
OTHER_TOLD = 0.05
"""The share of batches that are told a wrong season, because the one that is found in a request may be wrong."""

ANY_LENGTH = 0.15
"""The share of batches whose context has any length, also less than two seasons."""

CONTEXT: Range = (3, 600)
FEWEST_SEASONS, FEWEST_VALUES = 2.2, 24
MOST_SEASONS, MOST_VALUES = 12, 300
"""Other contexts have at least the larger of both fewest, and at most the larger of both most."""

HORIZON: Range = (4, 48)


class Task(NamedTuple):
    """The sizes of a training batch, in steps."""

    season: int
    """The season of the series."""

    told: int
    """The season that the model is told, which is seldom another one."""

    context: int
    """Number of values given, at least 3."""

    horizon: int
    """Number of values that follow."""


def task(random: np.random.Generator) -> Task:
    """Return a random season, the season told, a context and a horizon."""
    season = _season(random)
    told = season
    if random.random() < OTHER_TOLD:
        told = int(random.choice([1, 2 * season, max(1, season // 2), season + 1]))
    between = (max(FEWEST_SEASONS * season, FEWEST_VALUES), max(MOST_SEASONS * season, MOST_VALUES))
    context = _number(random, CONTEXT if random.random() < ANY_LENGTH else between)
    horizon = int(random.choice([season, 2 * season, 12, _number(random, HORIZON)]))
    return Task(season, min(told, LONGEST_SEASON), _within(context, CONTEXT), _within(horizon, HORIZON))


def _season(random: np.random.Generator) -> int:
    """Return a season of calendars and clocks, or any other one."""
    if random.random() < ANY_SEASON:
        return _number(random, OTHER_SEASON)
    weights = np.array(list(SEASONS.values()))
    return int(random.choice(list(SEASONS), p=weights / weights.sum()))


def _number(random: np.random.Generator, between: Range) -> int:
    """Return a whole number, every order of magnitude being as likely."""
    return round(float(log_uniform(random, 1, between)[0, 0]))


def _within(number: int, between: Range) -> int:
    """Return the nearest number of a range."""
    return int(min(max(number, between[0]), between[1]))
