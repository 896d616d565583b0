"""The pieces of the kernel: the product, tanh and sigmoid, and how each cell makes its next state of its gates' sums.

They are inlined into the loop of `model/kernel.py`. What is in here runs as machine code: Numba infers the types, mypy
does not look.

Shape suffixes: W hidden units padded to a multiple of 16, N rows that a matrix adds to, 4 partial sums of each row.
Matrices are stored transposed, so that a column, which is what is added, is contiguous.
"""

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

VECTOR = 16
"""Floats in the widest vector registers (AVX-512)."""

FAST = {"contract", "arcp", "nsz", "afn"}
"""Fused multiply-add, reciprocals, no signed zeros. But not "no NaN, no infinity": a rollout that diverges has to come
out as one."""

_COLUMNS = 8
"""Columns of a matrix that are added at a time, two to each of four sums."""

# tanh x = x P(x²) / Q(x²), lowest power first. Within 4e-7 of tanh everywhere, in single precision;
# `python -m benchmarks.tanh_fit` finds these numbers.
_P = tuple(np.float32(c) for c in (0.999999979, 0.133810139, 0.00349557414, 2.06088541e-05, 1.33543544e-08))
_Q = tuple(np.float32(c) for c in (1.0, 0.467143295, 0.025876929, 0.000328561199, 7.77643042e-07))
_SATURATED = np.float32(9)
"""tanh 9 is 1 in single precision."""

_HALF = np.float32(0.5)

_inlined = numba.njit(inline="always", fastmath=FAST, error_model="numpy")


@intrinsic(prefer_literal=True)
def stack(typing_context, size):
    """A pointer to `size` (a constant) floats on the stack, which Numba has no name for."""

    def generate(context, builder, signature, arguments):
        count = ir.Constant(ir.IntType(64), size.literal_value)
        array = cgutils.alloca_once(builder, ir.FloatType(), size=count)
        array.align = 4 * VECTOR
        return array

    return types.CPointer(types.float32)(size), generate


@_inlined
def tanh(x):
    x = min(max(x, -_SATURATED), _SATURATED)
    s = x * x
    above = (((_P[4] * s + _P[3]) * s + _P[2]) * s + _P[1]) * s + _P[0]
    below = (((_Q[4] * s + _Q[3]) * s + _Q[2]) * s + _Q[1]) * s + _Q[0]
    return x * above / below


@_inlined
def sigmoid(x):
    """sigmoid(x) = (1 + tanh(x / 2)) / 2, so as precise as tanh."""
    return _HALF + _HALF * tanh(_HALF * x)


@_inlined
def begin(sums_4N, bias_N, rows):
    """sums = bias."""
    for i in range(rows):
        sums_4N[0, i] = bias_N[i]
        sums_4N[1, i] = 0
        sums_4N[2, i] = 0
        sums_4N[3, i] = 0


@_inlined
def add_product(sums_4N, first, rows, transposed_WN, h_W, width):
    """sums += matrix · h, for `rows` rows of the sums from `first` on."""
    s, m = sums_4N, transposed_WN
    for j in range(0, width, _COLUMNS):
        h0, h1, h2, h3 = h_W[j], h_W[j + 1], h_W[j + 2], h_W[j + 3]
        h4, h5, h6, h7 = h_W[j + 4], h_W[j + 5], h_W[j + 6], h_W[j + 7]
        for i in range(rows):
            s[0, first + i] = s[0, first + i] + m[j, i] * h0 + m[j + 1, i] * h1
            s[1, first + i] = s[1, first + i] + m[j + 2, i] * h2 + m[j + 3, i] * h3
            s[2, first + i] = s[2, first + i] + m[j + 4, i] * h4 + m[j + 5, i] * h5
            s[3, first + i] = s[3, first + i] + m[j + 6, i] * h6 + m[j + 7, i] * h7


@_inlined
def _total(sums_4N, i):
    return (sums_4N[0, i] + sums_4N[1, i]) + (sums_4N[2, i] + sums_4N[3, i])


@_inlined
def activate_rnn(h_W, sums_4N, width):
    for i in range(width):
        h_W[i] = tanh(_total(sums_4N, i))


@_inlined
def activate_gru(h_W, sums_4N, width):
    """The sums are W_n x, r, z, W_n h: the first three read the input, the last three the state."""
    for i in range(width):
        reset = sigmoid(_total(sums_4N, width + i))
        candidate = tanh(_total(sums_4N, i) + reset * _total(sums_4N, 3 * width + i))
        h_W[i] = candidate + sigmoid(_total(sums_4N, 2 * width + i)) * (h_W[i] - candidate)


@_inlined
def activate_lstm(h_W, c_W, sums_4N, width):
    """The sums are i, f, g, o."""
    for i in range(width):
        added = sigmoid(_total(sums_4N, i)) * tanh(_total(sums_4N, 2 * width + i))
        c_W[i] = sigmoid(_total(sums_4N, width + i)) * c_W[i] + added
        h_W[i] = sigmoid(_total(sums_4N, 3 * width + i)) * tanh(c_W[i])
