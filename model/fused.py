"""The CPU runtime: encode and folded rollout as compiled loops, with the same mathematics as `model/network.py`.

PyTorch spends 97 % of a small network's rollout on dispatching its operations; `model/kernel.py` has none to dispatch.
A row of a batch is computed on its own, always by the same instructions: an answer cannot depend on its neighbours.

Shape suffixes: L layers, H hidden units, W hidden units padded to whole vectors, T time, S steps of a rollout.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from model.kernel import VECTOR, compile_kernels, padded_width
from model.metadata import Architecture
from model.runtime import State

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


class FusedRuntime:
    """The compiled loops with the weights of a TorchScript module. Immutable, so any number of threads may share it."""

    name = "fused"
    device = "cpu"
    batches = False

    def __init__(self, module: torch.jit.ScriptModule, architecture: Architecture) -> None:
        hidden, layers = architecture.hidden, architecture.layers
        width = padded_width(hidden)
        weights = {name: value.numpy() for name, value in module.state_dict().items()}

        from_below_LWW, recurrent_LWW = aligned_zeros(layers, width, width), aligned_zeros(layers, width, width)
        bias_LW = aligned_zeros(layers, width)
        for layer in range(layers):
            if layer > 0:
                from_below_LWW[layer, :hidden, :hidden] = weights[f"rnn.weight_ih_l{layer}"].T
            recurrent_LWW[layer, :hidden, :hidden] = weights[f"rnn.weight_hh_l{layer}"].T
            bias_LW[layer, :hidden] = weights[f"rnn.bias_ih_l{layer}"] + weights[f"rnn.bias_hh_l{layer}"]
        input_W, readout_W = aligned_zeros(width), aligned_zeros(width)
        input_W[:hidden] = weights["rnn.weight_ih_l0"][:, 0]
        readout_W[:hidden] = weights["readout.weight"][0]
        self._encode_weights = (input_W, from_below_LWW, recurrent_LWW, bias_LW)

        # The lowest layer of a rollout reads the top one through the feedback matrix. A single layer is both.
        closed_from_below_LWW, closed_recurrent_LWW = (
            aligned_zeros(layers, width, width),
            aligned_zeros(layers, width, width),
        )
        closed_from_below_LWW[:], closed_recurrent_LWW[:] = from_below_LWW, recurrent_LWW
        closed_bias_LW = aligned_zeros(layers, width)
        closed_bias_LW[:] = bias_LW
        with torch.inference_mode():
            feedback_HH, folded_H = module.fold()
        reads_top_LWW = closed_recurrent_LWW if layers == 1 else closed_from_below_LWW
        reads_top_LWW[0, :hidden, :hidden] += feedback_HH.numpy().T
        closed_bias_LW[0, :hidden] = folded_H.numpy()
        bias = np.float32(weights["readout.bias"][0])
        self._rollout_weights = (closed_from_below_LWW, closed_recurrent_LWW, closed_bias_LW, readout_W, bias)

        # An artifact made before there was an offset has neither. Below zero stands for the sequence's own scale.
        self._offset = float(getattr(module, "offset", 0.0))
        self._scale = float(getattr(module, "fixed_scale", 0.0)) or -1.0
        self._state_shape = (layers, hidden)
        self._kernels = compile_kernels(hidden, layers)
        self.cached = self._kernels.cached

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
            self._encode_one(sequence, state.hidden_LH.copy(), state.scale)
            for sequence, state in zip(sequences, states, strict=True)
        ]

    def rollout(self, states: Sequence[State], steps: int) -> tuple[Float64, list[State]]:
        """See `Runtime.rollout`."""
        values_BS = np.empty((len(states), steps))
        after = []
        for values_S, state in zip(values_BS, states, strict=True):
            h_LH = state.hidden_LH.copy()
            self._kernels.rollout(h_LH, values_S, state.scale, *self._rollout_weights)
            after.append(State(h_LH, state.scale))
        return values_BS + self._offset, after

    def forecast(self, sequence: Sequence[float], steps: int) -> Float64:
        """See `Runtime.forecast`."""
        h_LH, values_S = np.zeros(self._state_shape, np.float32), np.empty(steps)
        scale = self._kernels.encode(h_LH, self._centred(sequence), self._scale, *self._encode_weights)
        self._kernels.rollout(h_LH, values_S, scale, *self._rollout_weights)
        return values_S + self._offset if self._offset else values_S

    def _centred(self, sequence: Sequence[float]) -> Float64:
        x_T = np.array(sequence, np.float64)
        return x_T - self._offset if self._offset else x_T  # the usual model has none, and each operation costs

    def _encode_one(self, sequence: Sequence[float], h_LH: Float32, scale: float) -> State:
        """`h_LH` is changed in place. A scale below zero stands for the sequence's own."""
        return State(h_LH, self._kernels.encode(h_LH, self._centred(sequence), scale, *self._encode_weights))


def aligned_zeros(*shape: int) -> Float32:
    """Zeros that begin at a multiple of a vector's size: a vector that straddles two cache lines is loaded twice."""
    size, line = int(np.prod(shape)), VECTOR * np.dtype(np.float32).itemsize
    floats = np.zeros(size + VECTOR, np.float32)
    first = -floats.ctypes.data % line // floats.itemsize
    return floats[first : first + size].reshape(shape)
