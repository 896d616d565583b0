"""The loop of the fused runtime for anchored networks, compiled by Numba for one architecture.

It is the loop of `model/runtime/kernel.py`, in which the network sees the anchors and mixes them. The anchors are those
of `model/runtime/anchors.py`.

This module runs as machine code: Numba infers the types, and mypy does not check them.

Shape suffixes: those of `model/runtime/kernel.py` and `model/runtime/anchors.py`; I inputs of the network, O outputs.
"""

from functools import cache

import numba
import numpy as np

from model import anchors as equations
from model.anchored import CORRECTION
from model.anchors import ANCHORS, INPUTS
from model.fit import RECENT
from model.metadata import Architecture
from model.runtime import anchors, gates, kernel, vectors
from model.runtime.anchors import Place, compare, parts, take, turn
from model.runtime.gates import activate_gru, activate_lstm, activate_rnn
from model.runtime.kernel import SMALLEST, Kernel, Shape, compiled, digest_of, measure
from model.runtime.vectors import VECTOR, add_product, begin, dot, stack

COLUMNS = -(-INPUTS // VECTOR) * VECTOR
"""Number of inputs padded to a multiple of `VECTOR`; the padding stays 0."""

OUTPUTS = len(ANCHORS) + 1

_SOURCE = digest_of(anchors, equations, gates, kernel, vectors)

SIGNATURE = (
    "UniTuple(float64, 4)(float32[:,::1], float64[::1], float32[::1], float64[::1], float64[::1], float64, float64,"
    " int64, int64, int64[::1], float32[:,:,::1], float32[:,:,:,::1], float32[:,:,:,::1], float32[:,::1],"
    " float32[:,::1], float32[::1])"
)


@cache  # machine code stays in memory for good, so loading a model again does not compile again
def compile_anchored_kernel(architecture: Architecture) -> Kernel:
    """Return the kernel for an anchored architecture.

    Its arguments are (memory_LM, state_K, error_R, x_T, values_S, level, scale, season, ahead, lag_G, input_BIV,
    below_LBWV, recurrent_LBWV, bias_LN, readout_OW, readout_O). It advances both states in place over `x_T` and then
    over `values_S`, which it fills by a rollout; either may be empty. It advances `error_R` over `x_T`, and returns
    level, scale, residual and noise.
    """
    shape, hidden, layers = Shape.of(architecture), architecture.hidden, architecture.layers
    width, rows, sums = shape.width, shape.rows, shape.sums
    cells = architecture.memory // hidden
    remembered, first = cells * layers * width, sums - rows
    width_blocks, blocks, sum_blocks = width // VECTOR, rows // VECTOR, sums // VECTOR
    gru, lstm = architecture.cell == "gru", architecture.cell == "lstm"
    source, zero = _SOURCE, np.float32(0)

    @compiled(SIGNATURE)
    def run(
        memory_LM,
        state_K,
        error_R,
        x_T,
        values_S,
        level,
        scale,
        season,
        ahead,
        lag_G,
        input_BIV,
        below_LBWV,
        recurrent_LBWV,
        bias_LN,
        readout_OW,
        readout_O,
    ):
        _ = source  # the variables that a function captures are part of its key in the cache
        memory_PLW = numba.carray(stack(remembered), (cells, layers, width))
        h_LW, c_LW = memory_PLW[0], memory_PLW[cells - 1]
        sums_N = numba.carray(stack(sums), (sums,))
        seen_I = numba.carray(stack(COLUMNS), (COLUMNS,))
        ring_R = numba.carray(stack(RECENT), (RECENT,))
        for part in range(cells):
            for layer in range(layers):
                for i in range(width):
                    memory_PLW[part, layer, i] = memory_LM[layer, part * hidden + i] if i < hidden else zero
        for i in range(COLUMNS):
            seen_I[i] = zero
        for i in range(RECENT):
            ring_R[i] = error_R[i]

        given, longest = len(x_T), lag_G[-1]
        last_V, memory, counts = parts(state_K, season, ahead, longest, len(lag_G) + 1)
        value_U, input_I = np.empty(longest + given + len(values_S)), np.empty(INPUTS)
        value_U[:longest] = last_V
        lowest, offset, observed = counts[0], counts[1], int(counts[2])
        number = observed + int(counts[3])
        due = turned = 0
        compare(memory, input_I)
        for t in range(given + len(values_S)):
            x = zero
            if t >= given - RECENT:
                x = _mixed(readout_OW, readout_O, h_LW[layers - 1], memory.forecast_A, width_blocks)
            if t < given:
                value = np.float32((x_T[t] - level) / scale if scale > SMALLEST else 0.0)
                if t >= given - RECENT:
                    ring_R[t % RECENT] = value - x
                x = value
            else:
                values_S[t - given] = level + scale * x
            z = np.float64(x)
            if number == 0:
                value_U[:longest], lowest = z, z
            number, lowest = number + 1, min(lowest, z)
            observed = number if t < given else observed
            value_U[longest + t] = z
            place = Place(longest + t, number, observed, t < given, due, turned)
            take(value_U, place, lowest, offset, lag_G, memory, input_I)
            due, turned = (due + 1) % ahead, (turned + 1) % season
            for i in range(INPUTS):
                seen_I[i] = input_I[i]
            for layer in range(layers):
                begin(sums_N, bias_LN[layer], bias_LN[layer], zero, sum_blocks)
                if layer == 0:
                    add_product(sums_N, input_BIV, seen_I, 0, blocks, COLUMNS)
                else:
                    add_product(sums_N, below_LBWV[layer], h_LW[layer - 1], 0, blocks, width)
                add_product(sums_N, recurrent_LBWV[layer], h_LW[layer], first, blocks, width)
                if gru:
                    activate_gru(h_LW[layer], sums_N, width)
                elif lstm:
                    activate_lstm(h_LW[layer], c_LW[layer], sums_N, width)
                else:
                    activate_rnn(h_LW[layer], sums_N, width)

        for part in range(cells):
            for layer in range(layers):
                for i in range(hidden):
                    memory_LM[layer, part * hidden + i] = memory_PLW[part, layer, i]
        for i in range(RECENT):
            error_R[i] = ring_R[(given + i) % RECENT]
        last_V[:] = value_U[len(value_U) - longest :]
        turn(memory, due, turned)
        counts[0], counts[2], counts[3] = lowest, observed, number - observed
        residual, noise = measure(error_R, observed)
        return level, scale, residual, noise

    return Kernel(run, cached=bool(run.stats.cache_hits))


@numba.njit(inline="always")
def _mixed(readout_OW, readout_O, h_W, forecast_A, width_blocks):
    """Return the mixture of the anchors, in single precision."""
    largest = np.float32(-np.inf)
    share_A = np.empty(OUTPUTS, np.float32)
    for o in range(OUTPUTS):
        share_A[o] = readout_O[o] + dot(readout_OW[o], h_W, width_blocks)
    for o in range(OUTPUTS - 1):
        largest = max(largest, share_A[o])
    total = mixed = 0.0
    for o in range(OUTPUTS - 1):
        share = np.exp(np.float64(share_A[o] - largest))
        total += share
        mixed += share * forecast_A[o]
    return np.float32(mixed / total + CORRECTION * np.float64(share_A[OUTPUTS - 1]))
