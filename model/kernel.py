"""The loop of the fused runtime, compiled by Numba for one architecture: cell, hidden size and layers.

All three are constants to the compiler, which unrolls and vectorises for them. Three things make its work come out as
fast as hand-written C (docs/decisions/fused-kernel.md has the measurements):

- Working arrays live on the stack, so that the compiler knows that writing one changes no other.
- A matrix times a vector adds eight columns at a time, to four sums that are kept apart until the end: fewer passes
  over the sums, and not every addition waits for the one before it.
- tanh is a ratio of polynomials, which vectorises; the C library's function would be called once for each unit.

What is in here runs as machine code: Numba infers the types, mypy does not look.

Shape suffixes: L layers, H hidden units, M memory (H, or 2H for an LSTM), P its parts (1 or 2), W hidden units padded
to a multiple of 16 (the padding stays 0), G rows of all gates (a multiple of W), N rows of all sums, T time, S steps of
a rollout, K open and closed loop. Matrices are stored transposed.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np

from model import gates
from model.gates import FAST, VECTOR, activate_gru, activate_lstm, activate_rnn, add_product, begin, stack
from model.metadata import Architecture

log = logging.getLogger(__name__)

_REORDERED_FROM = 32
"""Padded hidden units from which the compiler may reorder sums. Below, they all fit into registers, and it would put
them back into one chain of additions, each waiting for the last."""

_SOURCE = hashlib.sha256(Path(gates.__file__).read_bytes()).hexdigest()
"""Numba takes machine code from its cache if this file has not changed; that the inlined pieces have not, it has to be
told."""

_SIGNATURE = (
    "float64(float32[:,::1], float64[::1], float64[::1], float64,"
    " float32[::1], float32[:,:,::1], float32[:,:,:,::1], float32[:,:,::1], float32[::1], float32)"
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
    """(memory_LM, x_T, values_S, scale, input_G, below_LWG, recurrent_KLWG, bias_KLN, readout_W, readout_bias):
    encodes `x_T`, fills `values_S` by a rollout, and advances `memory_LM` over both; either may be empty. Returns the
    scale; one below zero stands for the largest absolute value of `x_T`."""

    cached: bool
    """Whether the machine code came from Numba's cache on disk."""


def compile_kernel(architecture: Architecture) -> Kernel:
    """The kernel for an architecture."""
    shape, hidden, layers = Shape.of(architecture), architecture.hidden, architecture.layers
    width, rows, sums, folds = shape.width, shape.rows, shape.sums, shape.folds
    parts = architecture.memory // hidden
    remembered, summed, first = parts * layers * width, 4 * sums, sums - rows
    gru, lstm = architecture.cell == "gru", architecture.cell == "lstm"
    source = _SOURCE

    @_compiled(FAST | {"reassoc"} if width >= _REORDERED_FROM else FAST)
    def run(memory_LM, x_T, values_S, scale, input_G, below_LWG, recurrent_KLWG, bias_KLN, readout_W, readout_bias):
        _ = source  # what a function reads from outside is part of its name in the cache
        memory_PLW = numba.carray(stack(remembered), (parts, layers, width))
        h_LW, c_LW = memory_PLW[0], memory_PLW[parts - 1]
        sums_4N = numba.carray(stack(summed), (4, sums))
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
                x = np.float32(x_T[t] / scale if scale > 0.0 else 0.0)
            else:
                x = readout_bias
                for i in range(width):
                    x += readout_W[i] * h_LW[layers - 1, i]
                values_S[t - given] = scale * x
                if folds:  # the closed loop's matrix has the input in it
                    loop, x = 1, np.float32(0)
            for layer in range(layers):
                begin(sums_4N, bias_KLN[loop, layer], sums)
                if layer == 0:
                    for i in range(rows):
                        sums_4N[1, i] = input_G[i] * x
                else:
                    add_product(sums_4N, 0, rows, below_LWG[layer], h_LW[layer - 1], width)
                add_product(sums_4N, first, rows, recurrent_KLWG[loop, layer], h_LW[layer], width)
                if gru:
                    activate_gru(h_LW[layer], sums_4N, width)
                elif lstm:
                    activate_lstm(h_LW[layer], c_LW[layer], sums_4N, width)
                else:
                    activate_rnn(h_LW[layer], sums_4N, width)

        for part in range(parts):
            for layer in range(layers):
                for i in range(hidden):
                    memory_LM[layer, part * hidden + i] = memory_PLW[part, layer, i]
        return scale

    return Kernel(run, cached=bool(run.stats.cache_hits))


def _compiled(fast: set[str]):
    """Compile a function, or take its machine code from Numba's cache."""

    def compiled(function):
        options = {"fastmath": fast, "nogil": True, "error_model": "numpy"}
        try:
            return numba.njit(_SIGNATURE, cache=True, **options)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            log.info("The kernel is compiled at each start, since its machine code cannot be kept: %s", error)
            return numba.njit(_SIGNATURE, **options)(function)

    return compiled
