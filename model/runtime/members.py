"""The members of one sequence as machine code: the recurrences of `model/members`, one value after the other.

The sizes are arguments, so one machine code serves all members. Numba infers the types, and mypy does not check this
module.

Shape suffixes: U the values that a call needs, the newest last; T values given; S steps; R errors; M, E, P, C and K as
in `model/members/batched.py`.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from model.members import FEWEST, LARGEST, LARGEST_EXPONENT, MOST_SEASONS
from model.members.reference import MemberWeights
from model.metadata import MemberSizes
from model.runtime import anchors
from model.runtime.anchors import machine_code
from model.runtime.kernel import Kernel, compiled, digest_of

_SOURCE = digest_of(anchors)

_MEMBERS = (
    "int64, int64, boolean, float64[::1], float64, float64, float64[:,::1], float64[:,::1], float64[::1], float64"
)
_SIGNATURE = f"void(float64[::1], float64[::1], float32[::1], float64[::1], {_MEMBERS})"


class Fitted(NamedTuple):
    """The members as the kernel takes them. `MemberWeights` describes them."""

    inner: int
    season: int
    logarithm: bool
    filter_M: np.ndarray
    mean_weight: float
    filter_share: float
    rate_E5: np.ndarray
    theta_EP: np.ndarray
    share_E: np.ndarray
    weight: float


def fitted(weights: MemberWeights) -> Fitted:
    """Return the members as the kernel takes them."""
    sizes = weights.sizes
    return Fitted(
        sizes.inner,
        sizes.season,
        sizes.logarithm,
        np.ascontiguousarray(weights.filter_M),
        float(weights.mean_weight),
        float(weights.filter_share),
        np.ascontiguousarray(weights.rate_E5).reshape(sizes.cells, 5),
        np.ascontiguousarray(weights.theta_EP).reshape(sizes.cells, sizes.errors),
        np.ascontiguousarray(weights.share_E),
        float(weights.weight),
    )


def first_state(sizes: MemberSizes, offset: float) -> np.ndarray:
    """Return the state before the first value, [K]."""
    state_K = np.zeros(sizes.state)
    state_K[-2:] = 1.0, offset
    return state_K


@machine_code
def smoothed(cell_C, phi, inner, season, t):
    """Return l + phi b + R + S of value t."""
    return cell_C[0] + phi * cell_C[1] + cell_C[2 + t % inner] + cell_C[2 + inner + t % season]


@machine_code
def forecast_of_cell(cell_C, phi, theta_P, inner, season, t):
    """Return the forecast of value t."""
    value, first = smoothed(cell_C, phi, inner, season, t), 2 + inner + season
    for p in range(len(theta_P)):
        value += theta_P[p] * cell_C[first + p]
    return value


@machine_code
def update_cell(cell_C, rate_5, inner, season, t, u):
    """Take value t."""
    e, trend, first = u - smoothed(cell_C, rate_5[2], inner, season, t), rate_5[2] * cell_C[1], 2 + inner + season
    cell_C[0] += trend + rate_5[0] * e
    cell_C[1] = trend + rate_5[1] * e
    cell_C[2 + t % inner] += rate_5[3] * e
    cell_C[2 + inner + t % season] += rate_5[4] * e
    for p in range(len(cell_C) - 1, first, -1):
        cell_C[p] = cell_C[p - 1]
    if len(cell_C) > first:
        cell_C[first] = e


@machine_code
def begin_cell(cell_C, rate_5, inner, season, first_M):
    """Begin with the first values of a sequence."""
    m = season if season > 1 else min(FEWEST, len(first_M))
    seasons = min(len(first_M) // m, MOST_SEASONS)
    cell_C[:] = 0.0
    cell_C[0] = first_M[:m].mean()
    if seasons > 1 and rate_5[1] > 0:
        cell_C[1] = (first_M[m : 2 * m].mean() - cell_C[0]) / m
    blocks = seasons * m // inner
    for k in range(blocks):
        level = first_M[k * inner : (k + 1) * inner].mean()
        for i in range(inner):
            cell_C[2 + i] += (first_M[k * inner + i] - level) / blocks
    blocks = seasons * m // season
    for k in range(blocks):
        level = first_M[k * season : (k + 1) * season].mean()
        for i in range(season):
            at = k * season + i
            cell_C[2 + inner + i] += (first_M[at] - level - cell_C[2 + at % inner]) / blocks
    for t in range(len(first_M)):
        update_cell(cell_C, rate_5, inner, season, t, first_M[t])


@cache
def compile_members() -> Kernel:
    """Return the kernel of the members.

    Its arguments are (state_K, z_T, error_R, values_S) and those of `Fitted`. It advances the state in place over
    `z_T` and then over a rollout; either may be empty. `error_R` has the anchored network's errors of the last values
    given, and `values_S` its rollout. Both become those of the model. All are in units of the sequence.
    """
    source = _SOURCE

    @compiled(_SIGNATURE)
    def run(
        state_K,
        z_T,
        error_R,
        values_S,
        inner,
        season,
        logarithm,
        filter_M,
        mean_weight,
        filter_share,
        rate_E5,
        theta_EP,
        share_E,
        weight,
    ):
        _ = source  # the variables that a function captures are part of its key in the cache
        (cells, errors), values, given = theta_EP.shape, len(filter_M), len(z_T)
        size = 2 + inner + season + errors
        cell_EC = state_K[values : values + cells * size].reshape(cells, size)
        mean, observed, count, positive, offset = state_K[-5:]
        t = int(count)
        value_U = np.empty(values + given + len(values_S))
        value_U[:values] = state_K[:values]
        for i in range(given + len(values_S)):
            ready = t >= values and (positive > 0 or not logarithm)
            z = z_T[i] if i < given else values_S[i - given]
            if ready and i >= given - len(error_R):
                u = filter_share * mean_weight * mean
                for k in range(values):
                    u += filter_share * filter_M[k] * value_U[i + k]
                for e in range(cells):
                    u += share_E[e] * forecast_of_cell(cell_EC[e], rate_E5[e, 2], theta_EP[e], inner, season, t)
                if logarithm:
                    u = np.exp(min(u, LARGEST_EXPONENT)) - offset
                forecast = min(max(u, -LARGEST), LARGEST)
                if i < given:
                    place = len(error_R) - given + i
                    error_R[place] += np.float32(weight * (z - forecast - error_R[place]))
                else:
                    values_S[i - given] += weight * (forecast - z)
                    z = forecast
            u = z
            if logarithm:
                positive = positive if z + offset > 0 else 0.0
                u = np.log(z + offset) if z + offset > 0 else 0.0
            if i < given:
                observed += 1
                mean += (u - mean) / observed
            value_U[values + i] = u
            for e in range(cells):
                if t >= values:
                    update_cell(cell_EC[e], rate_E5[e], inner, season, t, u)
                elif t == values - 1:
                    begin_cell(cell_EC[e], rate_E5[e], inner, season, value_U[i + 1 : values + i + 1])
            t += 1
        state_K[:values] = value_U[given + len(values_S) :]
        state_K[-5:] = np.array([mean, observed, t, positive, offset])

    return Kernel(run, cached=bool(run.stats.cache_hits))
