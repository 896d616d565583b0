"""The CPU runtime: it encodes and rolls out in one compiled loop. `model/network.py` defines the same mathematics.

PyTorch spends 97 % of a small network's rollout on dispatching its operations; `model/runtime/kernel.py` dispatches
none. Each row of a batch is computed alone, always by the same instructions, so an answer cannot depend on the other
rows.

The shape suffixes are those of `model/runtime/kernel.py`.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from model.metadata import Architecture, Metadata
from model.runtime.base import State
from model.runtime.kernel import Shape, compile_kernel
from model.runtime.loops import kernel_loop
from model.runtime.vectors import VECTOR

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_NOTHING = np.empty(0)
_OWN_RANGE = -1.0  # a scale that tells the kernel to find the units


class FusedRuntime:
    """The compiled loop with the weights of a TorchScript module. It is immutable, so any number of threads may share
    it.
    """

    name = "fused"
    device = "cpu"
    batches = False

    def __init__(self, module: torch.jit.ScriptModule, metadata: Metadata, errors: bool = True) -> None:
        """`errors` is that of `compile_kernel`."""
        self._metadata = metadata
        self._weights: tuple[Float32 | np.float32, ...] = _laid_out(module, metadata.architecture)
        self._kernel = compile_kernel(metadata.architecture, errors)
        self.cached = self._kernel.cached
        memory_LM = np.zeros((metadata.architecture.layers, metadata.architecture.memory), np.float32)
        self._zero = State(memory_LM, 0.0, _OWN_RANGE)

    def start(self, sequence: Sequence[float], season: int = 1) -> State:
        """See `Runtime.start`."""
        level, scale = self._metadata.units(min(sequence), max(sequence))
        return self._zero._replace(level=level, scale=scale)

    def encode(self, sequences: Sequence[Sequence[float]], states: Sequence[State] | None = None) -> list[State]:
        """See `Runtime.encode`."""
        if states is None:
            states = [self._before(sequence) for sequence in sequences]
        return [self._run(state, sequence, _NOTHING) for sequence, state in zip(sequences, states, strict=True)]

    def rollout(self, states: Sequence[State], steps: int) -> tuple[Float64, list[State]]:
        """See `Runtime.rollout`."""
        values_BS = np.empty((len(states), steps))
        after = [self._run(state, _NOTHING, values_S) for state, values_S in zip(states, values_BS, strict=True)]
        return values_BS, after

    def forecast(self, sequence: Sequence[float], steps: int, season: int = 1) -> tuple[Float64, State]:
        """See `Runtime.forecast`."""
        values_S = np.empty(steps)
        return values_S, self._run(self._before(sequence, season), sequence, values_S)

    def forecast_many(
        self, value_N: Float64, start_B1: npt.NDArray[np.int64], steps: int, season_B: npt.NDArray[np.int64]
    ) -> tuple[Float64, Float64]:
        """Return the forecasts [B, S] of sequences that stand one after the other, each equal to that of `forecast`.

        Return also level, scale, residual, noise and later error of each [B, 5]. `model/runtime/many.py` describes the
        arguments.
        """
        count = len(start_B1) - 1
        values_BS, known_B5 = np.empty((count, steps)), np.zeros((count, 5))
        x_N, memory_LM = np.require(value_N, np.float64, ["C", "W"]), self._zero.memory_LM.copy()
        level_B, scale_B = self._units(x_N, start_B1)
        kernel_loop()(self._kernel.run, x_N, start_B1, values_BS, known_B5, level_B, scale_B, memory_LM, *self._weights)
        return values_BS, known_B5

    def _units(self, x_N: Float64, start_B1: npt.NDArray[np.int64]) -> tuple[Float64, Float64]:
        """Return level and scale of each sequence [B]. The kernel finds the range by itself."""
        if self._metadata.normalisation == "range":
            return np.zeros(len(start_B1) - 1), np.full(len(start_B1) - 1, _OWN_RANGE)
        return ranges(self._metadata, x_N, start_B1)

    def _before(self, sequence: Sequence[float], season: int = 1) -> State:
        """Return the state before a whole sequence. The kernel finds the range of one by itself, which is faster."""
        return self._zero if self._metadata.normalisation == "range" else self.start(sequence)

    def _run(self, before: State, sequence: Sequence[float] | Float64, values_S: Float64) -> State:
        """Encode `sequence`, and fill `values_S` by a rollout. Either may be empty. Return the state after both."""
        memory_LM, error_R, x_T = before.memory_LM.copy(), before.error_R.copy(), np.array(sequence, np.float64)
        level, scale, residual, noise = self._kernel.run(
            memory_LM, error_R, before.observed, x_T, values_S, before.level, before.scale, *self._weights
        )
        rolled_out = before.rolled_out or len(values_S) > 0
        return State(memory_LM, level, scale, before.observed + len(x_T), error_R, residual, noise, rolled_out)


def ranges(metadata: Metadata, x_N: Float64, start_B1: npt.NDArray[np.int64]) -> tuple[Float64, Float64]:
    """Return level and scale of sequences that stand one after the other, [B] each."""
    if len(start_B1) == 1:  # `reduceat` needs a row
        return np.zeros(0), np.zeros(0)
    lowest_B, highest_B = (extreme.reduceat(x_N, start_B1[:-1]).tolist() for extreme in (np.minimum, np.maximum))
    level_B, scale_B = np.array(list(map(metadata.units, lowest_B, highest_B))).T.copy()
    return level_B, scale_B


def _laid_out(module: torch.jit.ScriptModule, architecture: Architecture) -> tuple[Float32 | np.float32, ...]:
    """Return the module's weights in the kernel's layout, from `input_N` to `readout_bias`."""
    hidden, layers, shape = architecture.hidden, architecture.layers, Shape.of(architecture)
    width, rows, first = shape.width, shape.rows, shape.sums - shape.rows
    weights = {name: value.numpy().astype(np.float64) for name, value in module.state_dict().items()}
    W_y_H, b_y = weights["readout.weight"][0], weights["readout.bias"][0]

    stored = range(rows // width)
    # The sums of a GRU begin with W_n x and end with W_n h (`activate_gru`). PyTorch stores r, z, n.
    of_input = (2, 0, 1) if architecture.cell == "gru" else stored

    loops = 2 if shape.folds else 1
    input_N, readout_W = aligned_zeros(shape.sums), aligned_zeros(width)
    blocks = rows // VECTOR
    below_LBWV = aligned_zeros(layers, blocks, width, VECTOR)
    recurrent_KLBWV = aligned_zeros(loops, layers, blocks, width, VECTOR)
    bias_KLN = aligned_zeros(loops, layers, shape.sums)
    for layer in range(layers):
        W_x, W_h, b_x, b_h = (
            weights[f"rnn.{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        if layer == 0:
            input_N[:rows] = padded(W_x[:, 0], of_input, width)
        else:
            below_LBWV[layer, :, :hidden] = in_blocks(padded(W_x, of_input, width))
        for loop in range(loops):
            if loop == 1:  # the folded weights: model/network.py explains the fold
                W_h, b_x = W_h + W_x * W_y_H, b_x + W_x[:, 0] * b_y
            recurrent_KLBWV[loop, layer, :, :hidden] = in_blocks(padded(W_h, stored, width))
            bias_KLN[loop, layer, :rows] += padded(b_x, of_input, width)
            bias_KLN[loop, layer, first:] += padded(b_h, stored, width)
    readout_W[:hidden] = W_y_H
    return input_N, below_LBWV, recurrent_KLBWV, bias_KLN, readout_W, np.float32(b_y)


def padded(rows: Float64, order: Sequence[int], width: int) -> Float64:
    """Return the gates of a matrix [G, I] or of biases [G] in `order`, each padded to `width` rows, transposed."""
    gates = np.zeros((len(order), width, *rows.shape[1:]))
    stored = rows.reshape(len(order), -1, *rows.shape[1:])
    gates[:, : stored.shape[1]] = stored[list(order)]
    return gates.reshape(-1, *rows.shape[1:]).T


def in_blocks(transposed_IG: Float64) -> Float64:
    """Return the matrix as [G/V, I, V], so that the numbers added to one block of the sums lie together."""
    return transposed_IG.reshape(len(transposed_IG), -1, VECTOR).swapaxes(0, 1)


def aligned_zeros(*shape: int) -> Float32:
    """Return zeros whose first byte is at a multiple of a vector's size: a vector across two cache lines is loaded
    twice.
    """
    size, line = int(np.prod(shape)), VECTOR * np.dtype(np.float32).itemsize
    floats = np.zeros(size + VECTOR, np.float32)
    first = -floats.ctypes.data % line // floats.itemsize
    return floats[first : first + size].reshape(shape)
