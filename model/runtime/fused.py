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

from model.metadata import Architecture
from model.runtime.base import State
from model.runtime.kernel import Shape, compile_kernel
from model.runtime.vectors import VECTOR

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_NOTHING = np.empty(0)


class FusedRuntime:
    """The compiled loop with the weights of a TorchScript module. It is immutable, so any number of threads may share
    it.
    """

    name = "fused"
    device = "cpu"
    batches = False

    def __init__(self, module: torch.jit.ScriptModule, architecture: Architecture) -> None:
        # Artifacts of older versions have neither attribute. A negative scale stands for the sequence's own scale.
        self._offset = float(getattr(module, "offset", 0.0))
        self._scale = float(getattr(module, "fixed_scale", 0.0)) or -1.0
        self._state_shape = (architecture.layers, architecture.memory)
        self._weights = _laid_out(module, architecture)
        self._kernel = compile_kernel(architecture)
        self.cached = self._kernel.cached

    def start(self, sequence: Sequence[float]) -> State:
        """See `Runtime.start`."""
        return State(
            np.zeros(self._state_shape, np.float32), self._scale if self._scale > 0 else float(np.abs(sequence).max())
        )

    def encode(self, sequences: Sequence[Sequence[float]], states: Sequence[State] | None = None) -> list[State]:
        """See `Runtime.encode`."""
        if states is None:
            return [
                self._encode_one(sequence, np.zeros(self._state_shape, np.float32), self._scale)
                for sequence in sequences
            ]
        return [
            self._encode_one(sequence, state.memory_LM.copy(), state.scale)
            for sequence, state in zip(sequences, states, strict=True)
        ]

    def rollout(self, states: Sequence[State], steps: int) -> tuple[Float64, list[State]]:
        """See `Runtime.rollout`."""
        values_BS = np.empty((len(states), steps))
        after = []
        for row, state in enumerate(states):
            memory_LM = state.memory_LM.copy()
            self._kernel.run(memory_LM, _NOTHING, values_BS[row], state.scale, *self._weights)
            after.append(State(memory_LM, state.scale))
        return values_BS + self._offset if self._offset else values_BS, after

    def forecast(self, sequence: Sequence[float], steps: int) -> Float64:
        """See `Runtime.forecast`."""
        memory_LM, values_S = np.zeros(self._state_shape, np.float32), np.empty(steps)
        self._kernel.run(memory_LM, self._centred(sequence), values_S, self._scale, *self._weights)
        return values_S + self._offset if self._offset else values_S

    def _centred(self, sequence: Sequence[float]) -> Float64:
        x_T = np.array(sequence, np.float64)
        return x_T - self._offset if self._offset else x_T  # most models have no offset, and each operation costs time

    def _encode_one(self, sequence: Sequence[float], memory_LM: Float32, scale: float) -> State:
        """Encode one sequence and change `memory_LM` in place. A negative scale stands for the sequence's own scale."""
        return State(memory_LM, self._kernel.run(memory_LM, self._centred(sequence), _NOTHING, scale, *self._weights))


def _laid_out(module: torch.jit.ScriptModule, architecture: Architecture) -> tuple[Float32 | np.float32, ...]:
    """Return the module's weights in the kernel's layout, from `input_N` to `readout_bias`."""
    hidden, layers, shape = architecture.hidden, architecture.layers, Shape.of(architecture)
    width, rows, first = shape.width, shape.rows, shape.sums - shape.rows
    weights = {name: value.numpy().astype(np.float64) for name, value in module.state_dict().items()}
    W_y_H, b_y = weights["readout.weight"][0], weights["readout.bias"][0]

    def padded(rows_: Float64, order: Sequence[int]) -> Float64:
        """Return the gates in `order`, each padded to W rows, transposed."""
        gates = np.zeros((len(order), width, *rows_.shape[1:]))
        gates[:, :hidden] = rows_.reshape(-1, hidden, *rows_.shape[1:])[list(order)]
        return gates.reshape(-1, *rows_.shape[1:]).T

    def in_blocks(transposed_HG: Float64) -> Float64:
        """Return the matrix as [G/V, H, V], so that the numbers added to one block of the sums lie together."""
        return transposed_HG.reshape(hidden, -1, VECTOR).swapaxes(0, 1)

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
            input_N[:rows] = padded(W_x[:, 0], of_input)
        else:
            below_LBWV[layer, :, :hidden] = in_blocks(padded(W_x, of_input))
        for loop in range(loops):
            if loop == 1:  # the folded weights: model/network.py explains the fold
                W_h, b_x = W_h + W_x * W_y_H, b_x + W_x[:, 0] * b_y
            recurrent_KLBWV[loop, layer, :, :hidden] = in_blocks(padded(W_h, stored))
            bias_KLN[loop, layer, :rows] += padded(b_x, of_input)
            bias_KLN[loop, layer, first:] += padded(b_h, stored)
    readout_W[:hidden] = W_y_H
    return input_N, below_LBWV, recurrent_KLBWV, bias_KLN, readout_W, np.float32(b_y)


def aligned_zeros(*shape: int) -> Float32:
    """Return zeros whose first byte is at a multiple of a vector's size: a vector across two cache lines is loaded
    twice.
    """
    size, line = int(np.prod(shape)), VECTOR * np.dtype(np.float32).itemsize
    floats = np.zeros(size + VECTOR, np.float32)
    first = -floats.ctypes.data % line // floats.itemsize
    return floats[first : first + size].reshape(shape)
