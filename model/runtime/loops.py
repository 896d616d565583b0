"""Loops over many sequences as machine code, around the kernel of one sequence. They hold no lock of Python's.

The kernel is an argument and is called by its address. So it is the same machine code that runs for one sequence, and
gives the same numbers to the last bit.

This module runs as machine code: Numba infers the types, and mypy does not check them.

Shape suffixes: N values of all sequences, B sequences, R rows (sequences) to work on, K state of the anchors; the
others are those of `model/runtime/kernel.py`.
"""

from functools import cache

import numba
import numpy as np
from numba.core import types
from numba.core.sigutils import normalize_signature

from model.anchors import ANCHORS
from model.fit import RECENT
from model.runtime import anchored_kernel, kernel


def _parts(signature):
    """Return the type of a kernel as an argument, and the types of its own arguments."""
    arguments, result = normalize_signature(signature)
    return types.FunctionType(result(*arguments)), arguments


@cache  # machine code stays in memory for good
def kernel_loop():
    """Return the loop for networks without anchors.

    Its arguments are (run, value_N, start_B1, values_BS, known_B5, level_B, scale_B, memory_LM, and the weights of the
    kernel `run`). It fills `values_BS` with the forecasts, and the first columns of `known_B5` with what the kernel
    returns.
    """
    run, arguments = _parts(kernel.SIGNATURE)
    floats, integers, matrix = types.float64[::1], types.int64[::1], types.float64[:, ::1]
    signature = types.void(run, floats, integers, matrix, matrix, floats, floats, arguments[0], *arguments[7:])

    @numba.njit(signature, cache=True, nogil=True)
    def run_all(
        run,
        value_N,
        start_B1,
        values_BS,
        known_B5,
        level_B,
        scale_B,
        memory_LM,
        input_N,
        below_LBWV,
        recurrent_KLBWV,
        bias_KLN,
        readout_W,
        readout_bias,
    ):
        error_R = np.empty(RECENT, np.float32)
        for b in range(len(level_B)):
            memory_LM[:], error_R[:] = 0, 0
            known_B5[b, 0], known_B5[b, 1], known_B5[b, 2], known_B5[b, 3] = run(
                memory_LM,
                error_R,
                0,
                value_N[start_B1[b] : start_B1[b + 1]],
                values_BS[b],
                level_B[b],
                scale_B[b],
                input_N,
                below_LBWV,
                recurrent_KLBWV,
                bias_KLN,
                readout_W,
                readout_bias,
            )

    return run_all


@cache
def anchored_kernel_loop():
    """Return the loop for networks with anchors, over sequences of one season.

    Its arguments are (run, value_N, start_B1, row_R, values_BS, known_B5, level_B, scale_B, memory_LM, state_K, offset,
    later, season, ahead, lag_G, and the weights of the kernel `run`). `state_K` is the state of the anchors before any
    value. `offset` is the index in it that takes the offset of a sequence, and `later` that of the first later error.
    It works on the sequences `row_R` alone.
    """
    run, arguments = _parts(anchored_kernel.SIGNATURE)
    floats, integers, matrix = types.float64[::1], types.int64[::1], types.float64[:, ::1]
    signature = types.void(
        run,
        floats,
        integers,
        integers,
        matrix,
        matrix,
        floats,
        floats,
        arguments[0],
        floats,
        types.int64,
        types.int64,
        *arguments[7:],
    )

    @numba.njit(signature, cache=True, nogil=True)
    def run_all(
        run,
        value_N,
        start_B1,
        row_R,
        values_BS,
        known_B5,
        level_B,
        scale_B,
        memory_LM,
        state_K,
        offset,
        later,
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
        error_R, anchors_K = np.empty(RECENT, np.float32), np.empty_like(state_K)
        for b in row_R:
            memory_LM[:], error_R[:], anchors_K[:] = 0, 0, state_K
            anchors_K[offset] = level_B[b] / scale_B[b] if scale_B[b] > 0.0 else 0.0
            known_B5[b, 0], known_B5[b, 1], known_B5[b, 2], known_B5[b, 3] = run(
                memory_LM,
                anchors_K,
                error_R,
                value_N[start_B1[b] : start_B1[b + 1]],
                values_BS[b],
                level_B[b],
                scale_B[b],
                season,
                ahead,
                lag_G,
                input_BIV,
                below_LBWV,
                recurrent_LBWV,
                bias_LN,
                readout_OW,
                readout_O,
            )
            known_B5[b, 4] = anchors_K[later : later + len(ANCHORS)].min()

    return run_all
