"""The parts of the kernel that Numba compiles from Python: tanh, sigmoid, and each cell's next state from its sums.

They are inlined into the loop of `model/runtime/kernel.py`. This module runs as machine code: Numba infers the types,
and mypy does not check them.

Shape suffixes: W hidden units padded to a multiple of 16, N rows of sums.
"""

import numba
import numpy as np

FAST = {"contract", "arcp", "nsz", "afn"}
"""These fast-math flags allow fused multiply-add, reciprocals, approximate functions, and ignoring the sign of zero.

They do not allow the compiler to assume "no NaN, no infinity": a rollout that diverges must return NaN or infinity.
"""

# tanh x ≈ x P(x²) / Q(x²), coefficients from the lowest power up. The error is at most 4e-7 everywhere, in single
# precision. `python -m benchmarks.tanh_fit` computes these coefficients.
_P = tuple(np.float32(c) for c in (0.999999979, 0.133810139, 0.00349557414, 2.06088541e-05, 1.33543544e-08))
_Q = tuple(np.float32(c) for c in (1.0, 0.467143295, 0.025876929, 0.000328561199, 7.77643042e-07))
_SATURATED = np.float32(9)
"""From here on tanh is 1 in single precision."""

_HALF = np.float32(0.5)

_inlined = numba.njit(inline="always", fastmath=FAST, error_model="numpy")


@_inlined
def tanh(x):
    x = min(max(x, -_SATURATED), _SATURATED)
    s = x * x
    above = (((_P[4] * s + _P[3]) * s + _P[2]) * s + _P[1]) * s + _P[0]
    below = (((_Q[4] * s + _Q[3]) * s + _Q[2]) * s + _Q[1]) * s + _Q[0]
    return x * above / below


@_inlined
def sigmoid(x):
    """Return sigmoid(x) = (1 + tanh(x / 2)) / 2, which is as precise as tanh."""
    return _HALF + _HALF * tanh(_HALF * x)


@_inlined
def activate_rnn(h_W, sums_N, width):
    for i in range(width):
        h_W[i] = tanh(sums_N[i])


@_inlined
def activate_gru(h_W, sums_N, width):
    """Advance a GRU. The sums are W_n x, r, z, W_n h: the first three read the input, the last three read the state."""
    for i in range(width):
        reset = sigmoid(sums_N[width + i])
        candidate = tanh(sums_N[i] + reset * sums_N[3 * width + i])
        h_W[i] = candidate + sigmoid(sums_N[2 * width + i]) * (h_W[i] - candidate)


@_inlined
def activate_lstm(h_W, c_W, sums_N, width):
    """Advance an LSTM. The sums are i, f, g, o."""
    for i in range(width):
        added = sigmoid(sums_N[i]) * tanh(sums_N[2 * width + i])
        c_W[i] = sigmoid(sums_N[width + i]) * c_W[i] + added
        h_W[i] = sigmoid(sums_N[3 * width + i]) * tanh(c_W[i])
