"""Sequences that no sine model can continue. A model has to say so, and its intervals have to be wide.

Shape suffixes: B windows, T values given, S values that follow.
"""

import math

import numpy as np
import torch

from training.data import Floats, Windows

COUNT = 2000
AIRLINE = (
    (112, 118, 132, 129, 121, 135, 148, 148, 136, 119, 104, 118),
    (115, 126, 141, 135, 125, 149, 170, 170, 158, 133, 114, 140),
    (145, 150, 178, 163, 172, 178, 199, 199, 184, 162, 146, 166),
    (171, 180, 193, 181, 183, 218, 230, 242, 209, 191, 172, 194),
    (196, 196, 236, 235, 229, 243, 264, 272, 237, 211, 180, 201),
    (204, 188, 235, 227, 234, 264, 302, 293, 259, 229, 203, 229),
    (242, 233, 267, 269, 270, 315, 364, 347, 312, 274, 237, 278),
    (284, 277, 317, 313, 318, 374, 413, 405, 355, 306, 271, 306),
    (315, 301, 356, 348, 355, 422, 465, 467, 404, 347, 305, 336),
    (340, 318, 362, 348, 363, 435, 491, 505, 404, 359, 310, 337),
    (360, 342, 406, 396, 420, 472, 548, 559, 463, 407, 362, 405),
    (417, 391, 419, 461, 472, 535, 622, 606, 508, 461, 390, 432),
)
"""Thousands of passengers of international airlines by month, 1949 to 1960: series G of Box and Jenkins, *Time Series
Analysis: Forecasting and Control*, 1970."""


def families(context: int, horizon: int) -> dict[str, Windows]:
    """Return windows [B, T] and what follows them [B, S], by the name of their family. They are always the same.

    Args:
        context: number of values given.
        horizon: number of values that follow. The airline series is left out where both are longer than it is.
    """
    random = np.random.default_rng(0)
    length = context + horizon
    time_T = np.arange(length)

    def waves() -> Floats:
        period_B1, phase_B1 = 8 * 6 ** random.random((COUNT, 1)), math.tau * random.random((COUNT, 1))
        return np.sin(phase_B1 + math.tau * time_T / period_B1)

    drawn = {
        "two sines": waves() + random.uniform(0.1, 1, (COUNT, 1)) * waves(),
        "sine with a trend": waves() + random.uniform(0.3, 3, (COUNT, 1)) * time_T / context,
        "random walk": random.standard_normal((COUNT, length)).cumsum(axis=1),
    }
    airline_T = np.ravel(AIRLINE).astype(np.float64)
    if length <= len(airline_T):
        drawn["airline passengers"] = np.lib.stride_tricks.sliding_window_view(airline_T, length)
    windows = {name: torch.from_numpy(x_BT.copy()) for name, x_BT in drawn.items()}
    return {name: (x_BT[:, :context], x_BT[:, context:]) for name, x_BT in windows.items()}
