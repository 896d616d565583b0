"""The loops of the fused runtime, compiled by Numba for one hidden size and layer count.

Both are constants to the compiler, which unrolls and vectorises for them. Three things make its work come out as fast
as hand-written C (docs/decisions/fused-kernel.md has the measurements):

- Working arrays live on the stack, so that the compiler knows that writing one changes no other.
- A matrix times a vector adds eight columns at a time, to four sums that are kept apart until the end: fewer passes
  over the sums, and not every addition waits for the one before it.
- tanh is a ratio of polynomials, which vectorises; the C library's function would be called once for each unit.

What is in here runs as machine code: Numba infers the types, mypy does not look.

Shape suffixes: L layers, H hidden units, W hidden units padded to a multiple of 16 (the padding stays 0), T time,
S steps of a rollout. Matrices are stored transposed, so that a column, which is what is added, is contiguous.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

log = logging.getLogger(__name__)

VECTOR = 16
"""Floats in the widest vector registers (AVX-512)."""

_COLUMNS = 8
"""Columns of a matrix that are added at a time, two to each of four sums."""

# tanh x = x P(x²) / Q(x²), lowest power first. Within 4e-7 of tanh everywhere, in single precision;
# `python -m benchmarks.tanh_fit` finds these numbers.
_P = tuple(np.float32(c) for c in (0.999999979, 0.133810139, 0.00349557414, 2.06088541e-05, 1.33543544e-08))
_Q = tuple(np.float32(c) for c in (1.0, 0.467143295, 0.025876929, 0.000328561199, 7.77643042e-07))
_SATURATED = np.float32(9)
"""tanh 9 is 1 in single precision."""


@dataclass(frozen=True)
class Kernels:
    """The compiled loops for one architecture. They hold no lock and no state: any number of threads may run them."""

    encode: Callable[..., float]
    """(h_LH, x_T, scale, input_W, from_below_LWW, recurrent_LWW, bias_LW): advances `h_LH` over `x_T` and returns the
    scale; one below zero stands for the largest absolute value of `x_T`."""

    rollout: Callable[..., None]
    """(h_LH, values_S, scale, from_below_LWW, recurrent_LWW, bias_LW, readout_W, readout_bias): fills `values_S`,
    and advances `h_LH` by as many steps."""

    cached: bool
    """Whether the machine code came from Numba's cache on disk."""


def padded_width(hidden: int) -> int:
    """`hidden`, rounded up to whole vectors."""
    return -(-hidden // VECTOR) * VECTOR


@intrinsic(prefer_literal=True)
def _stack(typing_context, size):
    """A pointer to `size` (a constant) floats on the stack, which Numba has no name for."""

    def generate(context, builder, signature, arguments):
        count = ir.Constant(ir.IntType(64), size.literal_value)
        array = cgutils.alloca_once(builder, ir.FloatType(), size=count)
        array.align = 4 * VECTOR
        return array

    return types.CPointer(types.float32)(size), generate


# Fused multiply-add, reciprocals, no signed zeros. But not "no NaN, no infinity": a rollout that diverges has to come
# out as one.
_FAST = {"contract", "arcp", "nsz", "afn"}

_REORDERED_FROM = 48
"""Padded hidden units from which the compiler may reorder sums. Below, they all fit into registers, and it would put
them back into one chain of additions, each waiting for the last."""

_inlined = numba.njit(inline="always", fastmath=_FAST, error_model="numpy")


@_inlined
def _tanh(x):
    x = min(max(x, -_SATURATED), _SATURATED)
    s = x * x
    above = (((_P[4] * s + _P[3]) * s + _P[2]) * s + _P[1]) * s + _P[0]
    below = (((_Q[4] * s + _Q[3]) * s + _Q[2]) * s + _Q[1]) * s + _Q[0]
    return x * above / below


@_inlined
def _add_product(a_W, b_W, c_W, d_W, transposed_WW, h_W, width):
    """a + b + c + d += matrix · h."""
    m = transposed_WW
    for j in range(0, width, _COLUMNS):
        h0, h1, h2, h3 = h_W[j], h_W[j + 1], h_W[j + 2], h_W[j + 3]
        h4, h5, h6, h7 = h_W[j + 4], h_W[j + 5], h_W[j + 6], h_W[j + 7]
        for i in range(width):
            a_W[i] = a_W[i] + m[j, i] * h0 + m[j + 1, i] * h1
            b_W[i] = b_W[i] + m[j + 2, i] * h2 + m[j + 3, i] * h3
            c_W[i] = c_W[i] + m[j + 4, i] * h4 + m[j + 5, i] * h5
            d_W[i] = d_W[i] + m[j + 6, i] * h6 + m[j + 7, i] * h7


@_inlined
def _begin(a_W, b_W, c_W, d_W, bias_W, width):
    """a + b + c + d = bias."""
    for i in range(width):
        a_W[i] = bias_W[i]
        b_W[i] = 0
        c_W[i] = 0
        d_W[i] = 0


@_inlined
def _activate(h_W, a_W, b_W, c_W, d_W, width):
    """h = tanh(a + b + c + d)."""
    for i in range(width):
        h_W[i] = _tanh((a_W[i] + b_W[i]) + (c_W[i] + d_W[i]))


def _compiled(signature: str, fast: set[str]):
    """Compile a function for a signature, or take its machine code from Numba's cache."""

    def compiled(function):
        options = {"fastmath": fast, "nogil": True, "error_model": "numpy"}
        try:
            return numba.njit(signature, cache=True, **options)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            log.info("The kernel is compiled at each start, since its machine code cannot be kept: %s", error)
            return numba.njit(signature, **options)(function)

    return compiled


_ARRAYS = "float32[:,:,::1], float32[:,:,::1], float32[:,::1]"
"""From below, recurrent, bias."""


def compile_kernels(hidden: int, layers: int) -> Kernels:
    """The kernels for an architecture."""
    width = padded_width(hidden)
    floats = layers * width
    fast = _FAST | {"reassoc"} if width >= _REORDERED_FROM else _FAST

    @_compiled(f"float64(float32[:,::1], float64[::1], float64, float32[::1], {_ARRAYS})", fast)
    def encode(h_LH, x_T, scale, input_W, below_LWW, recurrent_LWW, bias_LW):
        h_LW = numba.carray(_stack(floats), (layers, width))
        a_W, b_W = numba.carray(_stack(width), (width,)), numba.carray(_stack(width), (width,))
        c_W, d_W = numba.carray(_stack(width), (width,)), numba.carray(_stack(width), (width,))
        for layer in range(layers):
            for i in range(width):
                h_LW[layer, i] = h_LH[layer, i] if i < hidden else np.float32(0)
        if scale < 0.0:
            for x in x_T:
                scale = max(scale, abs(x))
        for t in range(len(x_T)):
            x = np.float32(x_T[t] / scale if scale > 0.0 else 0.0)
            for layer in range(layers):
                _begin(a_W, b_W, c_W, d_W, bias_LW[layer], width)
                if layer == 0:
                    for i in range(width):
                        b_W[i] = input_W[i] * x
                else:
                    _add_product(a_W, b_W, c_W, d_W, below_LWW[layer], h_LW[layer - 1], width)
                _add_product(a_W, b_W, c_W, d_W, recurrent_LWW[layer], h_LW[layer], width)
                _activate(h_LW[layer], a_W, b_W, c_W, d_W, width)
        for layer in range(layers):
            for i in range(hidden):
                h_LH[layer, i] = h_LW[layer, i]
        return scale

    @_compiled(f"void(float32[:,::1], float64[::1], float64, {_ARRAYS}, float32[::1], float32)", fast)
    def rollout(h_LH, values_S, scale, below_LWW, recurrent_LWW, bias_LW, readout_W, readout_bias):
        h_LW = numba.carray(_stack(floats), (layers, width))
        a_W, b_W = numba.carray(_stack(width), (width,)), numba.carray(_stack(width), (width,))
        c_W, d_W = numba.carray(_stack(width), (width,)), numba.carray(_stack(width), (width,))
        for layer in range(layers):
            for i in range(width):
                h_LW[layer, i] = h_LH[layer, i] if i < hidden else np.float32(0)
        for t in range(len(values_S)):
            y = readout_bias
            for i in range(width):
                y += readout_W[i] * h_LW[layers - 1, i]
            values_S[t] = scale * y
            for layer in range(layers):
                _begin(a_W, b_W, c_W, d_W, bias_LW[layer], width)
                if layers > 1:  # a constant: one layer has no matrix from below
                    _add_product(a_W, b_W, c_W, d_W, below_LWW[layer], h_LW[layer - 1], width)
                _add_product(a_W, b_W, c_W, d_W, recurrent_LWW[layer], h_LW[layer], width)
                _activate(h_LW[layer], a_W, b_W, c_W, d_W, width)
        for layer in range(layers):
            for i in range(hidden):
                h_LH[layer, i] = h_LW[layer, i]

    return Kernels(encode, rollout, cached=all(kernel.stats.cache_hits for kernel in (encode, rollout)))
