"""The recursions of the prior, compiled by Numba: each value needs the one before it.

This module runs as machine code: Numba infers the types, and mypy does not check them.

Shape suffixes: B rows, T time, L lags, P positions in a season.
"""

import numba
import numpy as np

from training.data import Floats

_compiled = numba.njit(cache=True)


@_compiled
def autoregression(innovation_BT: Floats, weight_BL: Floats, lag_L: np.ndarray) -> Floats:
    """Return x_t = e_t + Σ w_l x_(t-l) [B, T], which begins from zeros."""
    count, length = innovation_BT.shape
    x_BT = innovation_BT.copy()
    for row in range(count):
        for time in range(length):
            for index in range(len(lag_L)):
                if lag_L[index] <= time:
                    x_BT[row, time] += weight_BL[row, index] * x_BT[row, time - lag_L[index]]
    return x_BT


@_compiled
def smoothing(innovation_BT: Floats, weight_B4: Floats, slope_B: Floats, profile_BP: Floats) -> Floats:
    """Return series [B, T] of an innovations state space model with level l, slope b and season S.

    x_t = l + d b + S_t + e;  l ← l + d b + w_1 e;  b ← d b + w_2 e;  S_t ← S_t + w_4 e;  d = w_3. `weight_B4` has the
    weights w of level and slope, the damping d and the weight of the season. `slope_B` has the first slopes and
    `profile_BP` the first season. The first level is 0. This is the model AAdA of Hyndman, Koehler, Ord and Snyder,
    *Forecasting with Exponential Smoothing: The State Space Approach*, 2008.
    """
    count, length = innovation_BT.shape
    season = profile_BP.shape[1]
    x_BT = np.empty((count, length))
    for row in range(count):
        alpha, beta, damping, gamma = weight_B4[row]
        level, slope = 0.0, slope_B[row]
        profile_P = profile_BP[row].copy()
        for time in range(length):
            innovation, position = innovation_BT[row, time], time % season
            slope *= damping
            x_BT[row, time] = level + slope + profile_P[position] + innovation
            level += slope + alpha * innovation
            slope += beta * innovation
            profile_P[position] += gamma * innovation
    return x_BT
