"""Gaps in a series, and how they are filled on request."""

from typing import Literal

import numpy as np

from model.series.values import Floats
from sine_client.frequency import Integers

Fill = Literal["previous", "linear", "zero"]

MOST_FILLED = 100
"""The most values that are filled for each one that is given. A single wrong date would otherwise fill the memory."""


def fill(value_T: Floats, position_T: Integers, how: Fill) -> Floats:
    """Return the values at each position from the first to the last [P].

    `previous` repeats the value before a gap, `linear` draws a straight line from it to the value after the gap.

    Args:
        value_T: the values. NaN is a gap.
        position_T: their positions on the grid, ascending from 0.
        how: the values to put into gaps.
    """
    full_P = np.full(int(position_T[-1]) + 1, np.nan)
    full_P[position_T] = value_T
    given_P = ~np.isnan(full_P)
    if how == "zero":
        return np.where(given_P, full_P, 0.0)
    index_P = np.arange(len(full_P))
    if how == "linear":
        return np.where(given_P, full_P, np.interp(index_P, index_P[given_P], full_P[given_P]))
    return full_P[np.maximum.accumulate(np.where(given_P, index_P, 0))]
