"""The anchors of one sequence as machine code: the recurrences of `model/anchors`, one value after the other.

All numbers are in double precision, because recursive least squares squares the condition of its inputs. The season is
an argument, so one machine code serves all of them. Numba infers the types, and mypy does not check this module.

Shape suffixes: U all values that a call needs, the newest last; G lags of the autoregression; the others are those of
`model/anchors/state.py`.
"""

from typing import NamedTuple

import numba
import numpy as np

from model.anchors import (
    ANCHORS,
    CONSTANT_INPUT,
    ERROR_WINDOW,
    FORGETTING,
    GROWTH,
    INPUTS,
    LARGEST_INPUT,
    LARGEST_STEP,
    LOG_SCALE,
    RIDGE,
    SMALLEST_ERROR,
    smoothing_rates,
)

_A, _E = len(ANCHORS), len(smoothing_rates())
_RATE_E4 = np.array(smoothing_rates())
_LEAST_GROWTH, _LARGEST_GROWTH = GROWTH[0] - 1, GROWTH[1] - 1

machine_code = numba.njit(error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"}, nogil=True)


class Memory(NamedTuple):
    """The arrays of a state that change with each value. `model/anchors/state.py` describes them.

    Pending forecasts and seasons do not move, as they do there. `Place` says where they are.
    """

    forecast_A: np.ndarray
    error_2A: np.ndarray
    pending_kA: np.ndarray
    weight_P: np.ndarray
    inverse_PP: np.ndarray
    cell_EC: np.ndarray


class Place(NamedTuple):
    """A value and its place in a sequence."""

    at: int
    """Its index in `value_U`."""

    number: int
    """Its number in the sequence, from 1."""

    observed: int
    """The number of values given, up to this one if it is given."""

    given: bool
    """False if it is a forecast."""

    due: int
    """The row of the pending forecasts that is due with it."""

    season: int
    """Its place in the season."""


@machine_code
def parts(state_K, season, ahead, longest, inputs):
    """Return the last values [V], the memory and the four numbers behind it. They are views of a flat state."""
    first = longest
    forecast_A = state_K[first : first + _A]
    first += _A
    error_2A = state_K[first : first + 2 * _A].reshape(2, _A)
    first += 2 * _A
    pending_kA = state_K[first : first + ahead * _A].reshape(ahead, _A)
    first += ahead * _A
    weight_P = state_K[first : first + inputs]
    first += inputs
    inverse_PP = state_K[first : first + inputs * inputs].reshape(inputs, inputs)
    first += inputs * inputs
    cell_EC = state_K[first : first + _E * (2 + season)].reshape(_E, 2 + season)
    memory = Memory(forecast_A, error_2A, pending_kA, weight_P, inverse_PP, cell_EC)
    return state_K[:longest], memory, state_K[first + _E * (2 + season) :]


@machine_code
def turn(memory, due, season):
    """Put pending forecasts and seasons back where a state has them: the next one comes first."""
    pending_kA, cell_EC = memory.pending_kA.copy(), memory.cell_EC.copy()
    for row in range(len(pending_kA)):
        memory.pending_kA[row] = pending_kA[(due + row) % len(pending_kA)]
    seasons = cell_EC.shape[1] - 2
    for e in range(_E):
        for place in range(seasons):
            memory.cell_EC[e, 2 + place] = cell_EC[e, 2 + (season + place) % seasons]


@machine_code
def take(value_U, place, lowest, offset, lag_G, memory, input_I):
    """Take a value. Set the forecasts of the next one and the network's inputs."""
    at, number, season = place.at, place.number, memory.cell_EC.shape[1] - 2
    z, once, before = value_U[at], value_U[at + 1 - season], value_U[at - season]
    twice = value_U[at + 1 - 2 * season] if number >= 2 * season else once
    level = _mean(value_U, at, min(season, number))
    earlier = _mean(value_U, at - season, min(season, number - season)) if number > season else before
    change = level - earlier
    _miss(z, place, season, memory, input_I)
    if place.given:
        compare(memory, input_I)
        if number > lag_G[-1]:
            _learn(value_U, at, lag_G, memory)
    growth = change
    if lowest + offset > 0.0:
        growth = (once + offset) * min(max(change / (earlier + offset), _LEAST_GROWTH), _LARGEST_GROWTH)
    regressed = _regressed(value_U, at, lag_G, memory) if number >= lag_G[-1] else once + change

    ahead, next_A, later_A = len(memory.pending_kA), memory.forecast_A, memory.pending_kA[place.due]
    half = value_U[at + ahead - season] if ahead <= season and number > season - ahead else z
    half_before = value_U[at + ahead - 2 * season] if ahead <= season and number > 2 * season - ahead else half
    next_A[0], later_A[0] = z, z
    next_A[1], later_A[1] = once, half
    next_A[2], later_A[2] = twice, half_before
    next_A[3], later_A[3] = once + change, half + change
    next_A[4], later_A[4] = z + once - before, half + (z - before if season > 1 else 0.0)
    next_A[5], later_A[5] = level, level
    next_A[6], later_A[6] = 0.5 * (once + twice) + change, 0.5 * (half + half_before) + change
    next_A[7], later_A[7] = once + growth, half + change
    next_A[8], later_A[8] = regressed, regressed
    _smooth(value_U, place, level, memory)

    rolled_out = number - place.observed
    for a in range(_A):
        input_I[a] = min(max(next_A[a] - z, -LARGEST_INPUT), LARGEST_INPUT)
    input_I[INPUTS - 4] = np.log(season) / LOG_SCALE
    input_I[INPUTS - 3] = np.log((place.observed + 1) / season) / LOG_SCALE
    input_I[INPUTS - 2] = 1.0 if rolled_out > 0 else 0.0
    input_I[INPUTS - 1] = np.log(1.0 + rolled_out) / LOG_SCALE


@machine_code
def compare(memory, input_I):
    """Set the inputs that compare the running errors of the anchors."""
    for kind in range(2):
        mean = SMALLEST_ERROR
        for a in range(_A):
            mean += memory.error_2A[kind, a] / _A
        for a in range(_A):
            input_I[(2 + kind) * _A + a] = np.log((memory.error_2A[kind, a] + SMALLEST_ERROR) / mean)


@machine_code
def _mean(value_U, last, count):
    total = 0.0
    for at in range(last + 1 - count, last + 1):
        total += value_U[at]
    return total / count


@machine_code
def _miss(z, place, season, memory, input_I):
    """Set the inputs that say how the anchors have missed a value. If it is given, average their errors."""
    late = place.number - len(memory.pending_kA) - season
    for a in range(_A):
        missed = z - memory.forecast_A[a] if place.number > 1 else 0.0
        input_I[_A + a] = min(max(missed, -LARGEST_INPUT), LARGEST_INPUT)
        if place.given:
            error = memory.error_2A[0, a]
            memory.error_2A[0, a] = error + (abs(missed) - error) / min(max(place.number - season, 1), ERROR_WINDOW)
            if late > 0:
                error = memory.error_2A[1, a]
                missed = abs(z - memory.pending_kA[place.due, a])
                memory.error_2A[1, a] = error + (missed - error) / min(late, ERROR_WINDOW)


@machine_code
def _learn(value_U, at, lag_G, memory):
    """Teach the autoregression the value at index `at`, from those before it, by recursive least squares."""
    inputs, P = len(memory.weight_P), memory.inverse_PP
    x_P, Px_P = np.empty(inputs), np.empty(inputs)
    trace, missed = 0.0, value_U[at] - value_U[at - 1]
    for i in range(inputs):
        x_P[i] = value_U[at - lag_G[i]] - value_U[at - 1] if i < inputs - 1 else CONSTANT_INPUT
        trace += P[i, i]
        missed -= memory.weight_P[i] * x_P[i]
    forgetting = 1.0 if trace > inputs / RIDGE else FORGETTING
    total = forgetting
    for i in range(inputs):
        Px_P[i] = 0.0
        for j in range(inputs):
            Px_P[i] += P[i, j] * x_P[j]
        total += x_P[i] * Px_P[i]
    for i in range(inputs):
        memory.weight_P[i] += Px_P[i] / total * missed
        for j in range(inputs):
            P[i, j] = (P[i, j] - Px_P[i] / total * Px_P[j]) / forgetting


@machine_code
def _regressed(value_U, at, lag_G, memory):
    """Return the forecast of the autoregression."""
    step = memory.weight_P[-1] * CONSTANT_INPUT
    for i in range(len(lag_G)):
        step += memory.weight_P[i] * (value_U[at + 1 - lag_G[i]] - value_U[at])
    return value_U[at] + min(max(step, -LARGEST_STEP), LARGEST_STEP)


@machine_code
def _smooth(value_U, place, level, memory):
    """Give a value to the smoothing cells, and set their forecasts."""
    season, ahead, z = memory.cell_EC.shape[1] - 2, len(memory.pending_kA), value_U[place.at]
    next_season, later_season = 2 + (place.season + 1) % season, 2 + (place.season + ahead) % season
    for e in range(_E):
        (alpha, beta, phi, gamma), cell_C, a = _RATE_E4[e], memory.cell_EC[e], _A - _E + e
        if place.number > season:
            trend = phi * cell_C[1]
            missed = z - (cell_C[0] + trend + cell_C[2 + place.season])
            cell_C[0] += trend + alpha * missed
            cell_C[1] = trend + beta * missed
            if season > 1:
                cell_C[2 + place.season] += gamma * missed
        elif place.number == season:
            cell_C[0], cell_C[1] = level, 0.0
            for i in range(season):
                cell_C[2 + (place.season + 1 + i) % season] = value_U[place.at + 1 - season + i] - level
        memory.forecast_A[a] = memory.pending_kA[place.due, a] = z
        if place.number >= season:
            damped, factor = 0.0, 1.0
            for _ in range(ahead):
                factor *= phi
                damped += factor
            memory.forecast_A[a] = cell_C[0] + phi * cell_C[1] + cell_C[next_season]
            memory.pending_kA[place.due, a] = cell_C[0] + damped * cell_C[1] + cell_C[later_season]
