"""The loop of the fused runtime, compiled by Numba for one architecture: cell, hidden size and number of layers.

All three are constants to the compiler, which unrolls and vectorises for them. Three techniques make the loop as fast
as hand-written C (docs/decisions/fused-kernel.md says how each was found):

- Working arrays live on the stack, so the compiler knows that a write to one array changes no other.
- The product of a matrix and a vector is written in vector instructions (`model/runtime/vectors.py`). The sums of 16
  rows stay in registers while the columns are added.
- tanh is a ratio of polynomials, which vectorises. The C library's function would be called once for each unit.

This module runs as machine code: Numba infers the types, and mypy does not check them.

Shape suffixes: L layers, H hidden units, M memory (H, or 2H for an LSTM), P its parts (1 or 2), W hidden units padded
to a multiple of V = 16 (the padding stays 0), G rows of all gates (a multiple of W), B blocks of V of them, N rows of
all sums, T time, S steps of a rollout, R = RECENT, K open and closed loop. A matrix is stored block by block, each
transposed: the kernel reads it from the first number to the last.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import numba
import numpy as np

from model.fit import RECENT
from model.metadata import Architecture
from model.runtime import gates, vectors
from model.runtime.gates import FAST, activate_gru, activate_lstm, activate_rnn
from model.runtime.vectors import VECTOR, add_product, begin, dot, stack

log = logging.getLogger(__name__)


def digest_of(*modules: ModuleType) -> str:
    """Return a digest of the source of modules. A function that captures it is compiled again when they change.

    Numba takes machine code from its cache as long as the function's own file is unchanged. It does not notice changes
    of code that it has inlined.
    """
    return hashlib.sha256(b"".join(Path(str(module.__file__)).read_bytes() for module in modules)).hexdigest()


_SOURCE = digest_of(gates, vectors)

SMALLEST = 1e-300
"""A sequence whose scale is not above this is encoded as zeros.

The compiler divides by multiplying with 1 / scale, which has to be finite.
"""

SIGNATURE = (
    "UniTuple(float64, 4)(float32[:,::1], float32[::1], int64, float64[::1], float64[::1], float64, float64,"
    " float32[::1], float32[:,:,:,::1], float32[:,:,:,:,::1], float32[:,:,::1], float32[::1], float32)"
)


@dataclass(frozen=True)
class Shape:
    """The sizes of the kernel's arrays for one architecture."""

    width: int
    """Number of hidden units padded to a multiple of `VECTOR`, W."""

    rows: int
    """Number of rows in a matrix of one layer, G."""

    sums: int
    """Number of sums, N: G, and W more for a GRU.

    A GRU's candidate keeps W_n x and W_n h apart, because the reset gate applies to W_n h alone.
    """

    folds: bool
    """True if the closed loop is a recurrence without an input, as model/network.py explains."""

    @classmethod
    def of(cls, architecture: Architecture) -> "Shape":
        """Return the sizes for `architecture`."""
        width = -(-architecture.hidden // VECTOR) * VECTOR
        rows = {"rnn": 1, "gru": 3, "lstm": 4}[architecture.cell] * width
        gru = architecture.cell == "gru"
        return cls(width, rows, rows + width if gru else rows, folds=architecture.layers == 1 and not gru)


@dataclass(frozen=True)
class Kernel:
    """The compiled loop for one architecture. It holds no lock and no state, so any number of threads may run it."""

    run: Callable[..., tuple[float, float, float, float]]
    """The compiled function encodes `x_T`, fills `values_S` by a rollout, and returns level, scale, residual and noise.

    Its arguments are (memory_LM, error_R, observed, x_T, values_S, level, scale, input_N, below_LBWV, recurrent_KLBWV,
    bias_KLN, readout_W, readout_bias). It advances `memory_LM` in place over both arrays; either may be empty. It
    advances `error_R` over `x_T`, after `observed` values. A negative scale stands for the range of `x_T` as units.
    """

    cached: bool
    """True if the machine code came from Numba's cache on disk."""


@cache  # machine code stays in memory for good, so loading a model again does not compile again
def compile_kernel(architecture: Architecture, errors: bool = True) -> Kernel:
    """Return the kernel for an architecture. Without `errors` it predicts no given value, to show what that costs."""
    shape, hidden, layers = Shape.of(architecture), architecture.hidden, architecture.layers
    width, rows, sums, folds = shape.width, shape.rows, shape.sums, shape.folds
    parts = architecture.memory // hidden
    remembered, first = parts * layers * width, sums - rows
    width_blocks, blocks, sum_blocks = width // VECTOR, rows // VECTOR, sums // VECTOR
    gru, lstm = architecture.cell == "gru", architecture.cell == "lstm"
    source = _SOURCE

    @compiled(SIGNATURE)
    def run(
        memory_LM,
        error_R,
        observed,
        x_T,
        values_S,
        level,
        scale,
        input_N,
        below_LBWV,
        recurrent_KLBWV,
        bias_KLN,
        readout_W,
        readout_bias,
    ):
        _ = source  # the variables that a function captures are part of its key in the cache
        memory_PLW = numba.carray(stack(remembered), (parts, layers, width))
        h_LW, c_LW = memory_PLW[0], memory_PLW[parts - 1]
        sums_N = numba.carray(stack(sums), (sums,))
        for part in range(parts):
            for layer in range(layers):
                for i in range(width):
                    memory_PLW[part, layer, i] = memory_LM[layer, part * hidden + i] if i < hidden else np.float32(0)
        given = len(x_T)
        if scale < 0.0:
            low = high = x_T[0]
            for x in x_T:
                low, high = min(low, x), max(high, x)
            scale = 0.5 * (high - low)
            level = low + scale

        # In the ring, the oldest error is at the place that the next one takes.
        ring_R = numba.carray(stack(RECENT), (RECENT,))
        for i in range(RECENT):
            ring_R[i] = error_R[i]
        for t in range(given + len(values_S)):
            loop = 0
            if t < given:
                x = np.float32((x_T[t] - level) / scale if scale > SMALLEST else 0.0)
                if errors and t >= given - RECENT:
                    ring_R[t % RECENT] = x - readout_bias - dot(readout_W, h_LW[layers - 1], width_blocks)
            else:
                x = readout_bias + dot(readout_W, h_LW[layers - 1], width_blocks)
                values_S[t - given] = level + scale * x
                if folds:  # the closed loop's matrix includes the input
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
        for i in range(RECENT):
            error_R[i] = ring_R[(given + i) % RECENT]
        residual, noise = measure(error_R, observed + given)
        return level, scale, residual, noise

    return Kernel(run, cached=bool(run.stats.cache_hits))


@numba.njit(inline="always")
def measure(error_R, observed):
    """Return residual and noise of the last errors after so many values, as `model/fit.py` defines them."""
    counted = min(RECENT, observed // 2)
    squares = bends = 0.0
    for i in range(RECENT - counted, RECENT):
        squares += np.float64(error_R[i]) ** 2
        if i >= RECENT - counted + 2:
            bends += (np.float64(error_R[i]) - 2.0 * error_R[i - 1] + error_R[i - 2]) ** 2
    return np.sqrt(squares / max(1, counted)), np.sqrt(bends / (6 * max(1, counted - 2)))


def compiled(signature):
    """Return a decorator that compiles a function, or takes its machine code from Numba's cache."""

    def compile(function):
        options = {"fastmath": FAST | {"reassoc"}, "nogil": True, "error_model": "numpy"}
        try:
            return numba.njit(signature, cache=True, **options)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            log.info("The kernel is compiled at each start, because its machine code cannot be cached: %s", error)
            return numba.njit(signature, **options)(function)

    return compile
