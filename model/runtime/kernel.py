"""The loop of the fused runtime, compiled by Numba for one architecture: cell, hidden size and layers.

All three are constants to the compiler, which unrolls and vectorises for them. Three things make its work come out as
fast as hand-written C (docs/decisions/fused-kernel.md says how each was found):

- Working arrays live on the stack, so that the compiler knows that writing one changes no other.
- A matrix times a vector is written in vector instructions (`model/runtime/vectors.py`): the sums of 16 rows stay in
  registers while the columns pass by.
- tanh is a ratio of polynomials, which vectorises; the C library's function would be called once for each unit.

What is in here runs as machine code: Numba infers the types, mypy does not look.

Shape suffixes: L layers, H hidden units, M memory (H, or 2H for an LSTM), P its parts (1 or 2), W hidden units padded
to a multiple of V = 16 (the padding stays 0), G rows of all gates (a multiple of W), B blocks of V of them, N rows of
all sums, T time, S steps of a rollout, K open and closed loop. A matrix is stored block by block, each transposed: the
kernel reads it from the first number to the last.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numba
import numpy as np

from model.metadata import Architecture
from model.runtime import gates, vectors
from model.runtime.gates import FAST, activate_gru, activate_lstm, activate_rnn
from model.runtime.vectors import VECTOR, add_product, begin, dot, stack

log = logging.getLogger(__name__)

_SOURCE = hashlib.sha256(b"".join(Path(module.__file__).read_bytes() for module in (gates, vectors))).hexdigest()
"""Numba takes machine code from its cache if this file has not changed; that the inlined pieces have not, it has to be
told."""

SMALLEST = 1e-300
"""A sequence on a smaller scale is encoded as zeros: the compiler divides by multiplying with 1 / scale, which has to
be finite."""

_SIGNATURE = (
    "float64(float32[:,::1], float64[::1], float64[::1], float64,"
    " float32[::1], float32[:,:,:,::1], float32[:,:,:,:,::1], float32[:,:,::1], float32[::1], float32)"
)


@dataclass(frozen=True)
class Shape:
    """The sizes that an architecture has in the kernel."""

    width: int
    """W."""

    rows: int
    """G: what a matrix of one layer adds to."""

    sums: int
    """N: G, and for a GRU W more: its candidate keeps W_n x and W_n h apart, which is inside its reset gate."""

    folds: bool
    """Whether the closed loop is a recurrence without an input, as model/network.py explains."""

    @classmethod
    def of(cls, architecture: Architecture) -> "Shape":
        """The sizes for `architecture`."""
        width = -(-architecture.hidden // VECTOR) * VECTOR
        rows = {"rnn": 1, "gru": 3, "lstm": 4}[architecture.cell] * width
        gru = architecture.cell == "gru"
        return cls(width, rows, rows + width if gru else rows, folds=architecture.layers == 1 and not gru)


@dataclass(frozen=True)
class Kernel:
    """The compiled loop for one architecture. It holds no lock and no state: any number of threads may run it."""

    run: Callable[..., float]
    """(memory_LM, x_T, values_S, scale, input_N, below_LBWV, recurrent_KLBWV, bias_KLN, readout_W, readout_bias):
    encodes `x_T`, fills `values_S` by a rollout, and advances `memory_LM` over both; either may be empty. Returns the
    scale; one below zero stands for the largest absolute value of `x_T`."""

    cached: bool
    """Whether the machine code came from Numba's cache on disk."""


@cache  # machine code stays in memory for good: a model that is loaded again takes what is there
def compile_kernel(architecture: Architecture) -> Kernel:
    """The kernel for an architecture."""
    shape, hidden, layers = Shape.of(architecture), architecture.hidden, architecture.layers
    width, rows, sums, folds = shape.width, shape.rows, shape.sums, shape.folds
    parts = architecture.memory // hidden
    remembered, first = parts * layers * width, sums - rows
    width_blocks, blocks, sum_blocks = width // VECTOR, rows // VECTOR, sums // VECTOR
    gru, lstm = architecture.cell == "gru", architecture.cell == "lstm"
    source = _SOURCE

    @_compiled
    def run(memory_LM, x_T, values_S, scale, input_N, below_LBWV, recurrent_KLBWV, bias_KLN, readout_W, readout_bias):
        _ = source  # what a function reads from outside is part of its name in the cache
        memory_PLW = numba.carray(stack(remembered), (parts, layers, width))
        h_LW, c_LW = memory_PLW[0], memory_PLW[parts - 1]
        sums_N = numba.carray(stack(sums), (sums,))
        for part in range(parts):
            for layer in range(layers):
                for i in range(width):
                    memory_PLW[part, layer, i] = memory_LM[layer, part * hidden + i] if i < hidden else np.float32(0)
        if scale < 0.0:
            for x in x_T:
                scale = max(scale, abs(x))

        given = len(x_T)
        for t in range(given + len(values_S)):
            loop = 0
            if t < given:
                x = np.float32(x_T[t] / scale if scale > SMALLEST else 0.0)
            else:
                x = readout_bias + dot(readout_W, h_LW[layers - 1], width_blocks)
                values_S[t - given] = scale * x
                if folds:  # the closed loop's matrix has the input in it
                    loop, x = 1, np.float32(0)
            for layer in range(layers):
                begin(sums_N, bias_KLN[loop, layer], input_N, x if layer == 0 else np.float32(0), sum_blocks)
                if layer > 0:
                    add_product(sums_N, below_LBWV[layer], h_LW[layer - 1], 0, blocks, width)
                add_product(sums_N, recurrent_KLBWV[loop, layer], h_LW[layer], first, blocks, width)
                if gru:
                    activate_gru(h_LW[layer], sums_N, width)
                elif lstm:
                    activate_lstm(h_LW[layer], c_LW[layer], sums_N, width)
                else:
                    activate_rnn(h_LW[layer], sums_N, width)

        for part in range(parts):
            for layer in range(layers):
                for i in range(hidden):
                    memory_LM[layer, part * hidden + i] = memory_PLW[part, layer, i]
        return scale

    return Kernel(run, cached=bool(run.stats.cache_hits))


def _compiled(function):
    """Compile a function, or take its machine code from Numba's cache."""
    options = {"fastmath": FAST | {"reassoc"}, "nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(_SIGNATURE, cache=True, **options)(function)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        log.info("The kernel is compiled at each start, since its machine code cannot be kept: %s", error)
        return numba.njit(_SIGNATURE, **options)(function)
