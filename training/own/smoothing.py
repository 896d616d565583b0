"""Candidates for the smoothing cells: a grid of rates, and a ridge regression of each cell's errors on its last ones.

`model/members` has the equations. The loops are machine code: Numba infers their types, and mypy does not check them.

Shape suffixes: N values of a series, M values that a cell begins with, P errors that it weighs, R ridges, O origins,
S steps.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from model.runtime import anchors, members
from model.runtime.kernel import compiled, digest_of
from model.runtime.members import begin_cell, forecast_of_cell, smoothed, update_cell

ALPHAS = (0.02, 0.1, 0.25, 0.5, 0.8, 0.98)
TRENDS = ((0.0, 0.0), (0.01, 0.98), (0.05, 0.95), (0.1, 0.9), (0.02, 1.0))
"""beta / alpha and phi of damped trends. Without damping, the first is beta."""

INNER_RATES, OUTER_RATES = (0.0, 0.05, 0.2), (0.0, 0.03, 0.1, 0.25, 0.5)
"""gamma, and delta / (1 - alpha)."""

ERROR_RIDGES = (1e9, 1.0, 0.05, 0.003)
"""Ridges, as multiples of the mean square of the errors. The first leaves hardly any weight."""

_SOURCE = digest_of(anchors, members)


def grid(inner: int, season: int) -> Iterator[tuple[float, float, float, float, float]]:
    """Yield the rates alpha, beta, phi, gamma and delta of each candidate."""
    for alpha in ALPHAS:
        for share, phi in TRENDS:
            for outer in OUTER_RATES if season > 1 else (0.0,):
                for gamma in INNER_RATES if inner > 1 else (0.0,):
                    yield alpha, share if phi == 1 else alpha * share, phi, gamma, outer * (1 - alpha)


def error_moments(error_N: Any, errors: int) -> Any:
    """Return the second moments [1 + P, 1 + P] of an error and the errors before it."""
    window_BP = np.lib.stride_tricks.sliding_window_view(error_N, errors + 1)[:, ::-1]
    return window_BP.T @ window_BP


def error_weights(moments_PP: Any, ridge: float) -> Any:
    """Return the weights theta [P] of the last errors, the newest first."""
    gram_PP = moments_PP[1:, 1:]
    size = max(float(np.trace(gram_PP)) / max(1, len(gram_PP)), 1e-300)
    return np.linalg.solve(gram_PP + ridge * size * np.eye(len(gram_PP)), moments_PP[1:, 0])


def cell_errors(u_N: Any, values: int, rate_5: Any, inner: int, season: int) -> Any:
    """Return the errors e [N] of a cell over a series, from the state that the first `values` begin with."""
    error_N = np.zeros(len(u_N))
    _errors()(u_N, values, np.asarray(rate_5, dtype=np.float64), inner, season, error_N)
    return error_N


def cell_rollouts(
    u_N: Any, values: int, rate_5: Any, theta_RP: Any, inner: int, season: int, origin_O: Any, steps: int
) -> Any:
    """Return the closed-loop forecasts of a cell from each origin with each theta, [R, O, S]. Origins ascend."""
    forecast_ROS = np.zeros((len(theta_RP), len(origin_O), steps))
    rate_5, origin_O = np.asarray(rate_5, dtype=np.float64), np.asarray(origin_O, dtype=np.int64)
    _rollouts()(u_N, values, rate_5, theta_RP, inner, season, origin_O, forecast_ROS)
    return forecast_ROS


@cache
def _errors() -> Any:
    source = _SOURCE

    @compiled("void(float64[::1], int64, float64[::1], int64, int64, float64[::1])")
    def run(u_N, values, rate_5, inner, season, error_N):
        _ = source  # the variables that a function captures are part of its key in the cache
        cell_C = np.zeros(2 + inner + season)
        begin_cell(cell_C, rate_5, inner, season, u_N[:values])
        for t in range(values, len(u_N)):
            error_N[t] = u_N[t] - smoothed(cell_C, rate_5[2], inner, season, t)
            update_cell(cell_C, rate_5, inner, season, t, u_N[t])

    return run


@cache
def _rollouts() -> Any:
    source = _SOURCE

    @compiled("void(float64[::1], int64, float64[::1], float64[:,::1], int64, int64, int64[::1], float64[:,:,::1])")
    def run(u_N, values, rate_5, theta_RP, inner, season, origin_O, forecast_ROS):
        _ = source  # the variables that a function captures are part of its key in the cache
        cell_C = np.zeros(2 + inner + season + theta_RP.shape[1])
        begin_cell(cell_C, rate_5, inner, season, u_N[:values])
        t = values
        for o in range(len(origin_O)):
            while t < origin_O[o]:
                update_cell(cell_C, rate_5, inner, season, t, u_N[t])
                t += 1
            for r in range(len(theta_RP)):
                copy_C = cell_C.copy()
                for s in range(forecast_ROS.shape[2]):
                    u = forecast_of_cell(copy_C, rate_5[2], theta_RP[r], inner, season, t + s)
                    forecast_ROS[r, o, s] = u
                    update_cell(copy_C, rate_5, inner, season, t + s, u)

    return run
