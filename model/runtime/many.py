"""The forecasts of many sequences at once, by any runtime.

Shape suffixes: N values of all sequences, B sequences, S steps.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.runtime.base import Runtime, State
from model.runtime.fused import FusedRuntime

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_BATCH = 256
"""The number of sequences in a batch of a runtime without a compiled loop."""


class Forecasts(NamedTuple):
    """The forecasts of many sequences, and what their states know of them."""

    values_BS: Floats
    """The next values, in the unit of each sequence. They may stop being finite."""

    scale_B: Floats
    residual_B: Floats
    noise_B: Floats
    later_B: Floats
    """Scale, residual, noise and later error of each sequence, as in `State`."""

    @staticmethod
    def of(values_BS: Floats, states: Sequence[State]) -> "Forecasts":
        """Return forecasts and what the states after them know."""
        known = [(state.scale, state.residual, state.noise, state.later) for state in states]
        return Forecasts(values_BS, *np.array(known).reshape(-1, 4).T)


def forecast_many(runtime: Runtime, value_N: Floats, start_B1: Integers, steps: int, season_B: Integers) -> Forecasts:
    """Return the forecasts of sequences that stand one after the other.

    On a CPU, each of them equals that of `Runtime.forecast` to the last bit, and Python's lock is free meanwhile.

    Args:
        runtime: the runtime.
        value_N: the values of all sequences, all finite.
        start_B1: the index of the first value of each sequence, and the number of all values.
        steps: the number of values to forecast for each.
        season_B: the season of each sequence, 1 for none. Networks without anchors ignore it.
    """
    if isinstance(runtime, FusedRuntime):
        values_BS, known_B5 = runtime.forecast_many(value_N, start_B1, steps, season_B)
        return Forecasts(values_BS, *known_B5.T[1:])
    rows = [value_N[first:end].tolist() for first, end in pairwise(start_B1.tolist())]
    parts: list[Floats] = []
    states: list[State] = []
    for begin in range(0, len(rows), _BATCH):
        batch = slice(begin, begin + _BATCH)
        before = list(map(runtime.start, rows[batch], season_B[batch].tolist()))
        values_BS, after = runtime.rollout(runtime.encode(rows[batch], before), steps)
        parts.append(values_BS)
        states += after
    return Forecasts.of(np.concatenate(parts), states)
