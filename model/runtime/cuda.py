"""The CUDA runtime: one kernel launch encodes a batch and rolls it out. `model/network.py` defines the mathematics.

PyTorch launches several kernels for each step of a rollout, so the card waits for the processor.
`model/runtime/cuda_kernel.py` launches one for all steps. A call copies once to the card and once back, in pinned
memory.

Shape suffixes: B batch, T time, S steps, L layers, M memory (H, or 2H for an LSTM), P its parts (1 or 2), H hidden
units padded to a power of two, R = RECENT errors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.fit import RECENT
from model.metadata import Architecture, CellKind, Metadata
from model.runtime import cuda_kernel
from model.runtime.base import State
from model.runtime.batches import first_state, in_callers_units, normalised, observed

_LEAST_HIDDEN = 16
"""Triton multiplies no smaller matrices."""
_UNITS_OF_A_WARP, _STATE_OF_A_PROGRAM = 16, 512
"""Numbers of hidden units: those of a warp, and those of all rows of a program. docs/decisions/cuda-kernel.md compares
them with others."""

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Shape:
    """The sizes that are constants of the kernel for one architecture."""

    cell: CellKind
    layers: int
    hidden: int
    """Number of hidden units padded to a power of two, H."""

    rows: int
    """Number of rows that a program computes. It is the same for every batch, so that answers are."""

    warps: int
    """Number of warps of a program."""

    @classmethod
    def of(cls, architecture: Architecture) -> "Shape":
        """Return the sizes for `architecture`."""
        hidden = max(_LEAST_HIDDEN, 1 << (architecture.hidden - 1).bit_length())
        rows = max(1, _STATE_OF_A_PROGRAM // hidden)
        return cls(architecture.cell, architecture.layers, hidden, rows, hidden // _UNITS_OF_A_WARP)

    def constants(self) -> dict[str, int | str]:
        """Return the arguments that Triton compiles into the kernel."""
        return {"CELL": self.cell, "LAYERS": self.layers, "HIDDEN": self.hidden, "ROWS": self.rows, "RECENT": RECENT}


class Answers(NamedTuple):
    """Results of one launch, on the device."""

    after_BLPH: Tensor
    values_BS: Tensor
    error_BR: Tensor


class CudaLoop:
    """The kernel with the weights of one network, on tensors of its device."""

    def __init__(self, module: torch.jit.ScriptModule, architecture: Architecture, device: torch.device) -> None:
        self.device = device
        self.shape = Shape.of(architecture)
        self.parts = architecture.memory // architecture.hidden
        self._weights = [tensor.to(device) for tensor in _padded(module, architecture, self.shape.hidden)]
        self._readout_bias = float(module.state_dict()["readout.bias"])

    def __call__(self, before_BLPH: Tensor, steps: int, x_BT: Tensor, length_B: Tensor) -> Answers:
        """Encode the values of each row, then roll out. T or `steps` may be 0.

        Args:
            before_BLPH: states before the first value. The padding is 0.
            steps: number of values to predict.
            x_BT: normalised values, of which the first `length_B` (32-bit integers) of a row count.
        """
        rows, longest = x_BT.shape
        sizes = [before_BLPH.numel(), rows * steps, rows * RECENT]
        after, values, error = torch.split(torch.empty(sum(sizes), device=self.device), sizes)
        answers = Answers(after.view(before_BLPH.shape), values.view(rows, steps), error.view(rows, RECENT))
        programs = -(-rows // self.shape.rows)
        cuda_kernel.run[programs,](
            x_BT,
            length_B,
            before_BLPH,
            *answers,
            *self._weights,
            self._readout_bias,
            rows,
            longest,
            steps,
            **self.shape.constants(),
            num_warps=self.shape.warps,
        )
        return answers


class CudaRuntime:
    """The compiled loop on a card. The rows of a batch are independent, bit for bit."""

    name = "fused"
    batches = True

    def __init__(self, module: torch.jit.ScriptModule, metadata: Metadata, device: torch.device) -> None:
        """Compile the kernel for the network."""
        self.device = device.type
        self._metadata = metadata
        self.loop = CudaLoop(module, metadata.architecture, device)
        self.forecast([0.0], 1)

    def start(self, sequence: Sequence[float], season: int = 1) -> State:
        """See `Runtime.start`."""
        return first_state(self._metadata, sequence)

    def encode(self, sequences: Sequence[Sequence[float]], states: Sequence[State] | None = None) -> list[State]:
        """See `Runtime.encode`."""
        return self._run(sequences, states or [self.start(sequence) for sequence in sequences], 0)[1]

    def rollout(self, states: Sequence[State], steps: int) -> tuple[npt.NDArray[np.float64], list[State]]:
        """See `Runtime.rollout`."""
        nothing_BT = np.zeros((len(states), 0), np.float32)
        y_BS, memory_BLM, _ = self._launch(states, nothing_BT, np.zeros(len(states), np.int64), steps)
        after = [
            state._replace(memory_LM=memory_LM, rolled_out=True)
            for state, memory_LM in zip(states, memory_BLM, strict=True)
        ]
        return in_callers_units(y_BS, states), after

    def forecast(self, sequence: Sequence[float], steps: int, season: int = 1) -> tuple[npt.NDArray[np.float64], State]:
        """See `Runtime.forecast`."""
        values_BS, (state,) = self._run([sequence], [self.start(sequence)], steps)
        return values_BS[0], state._replace(rolled_out=True)

    def _run(
        self, sequences: Sequence[Sequence[float]], states: Sequence[State], steps: int
    ) -> tuple[npt.NDArray[np.float64], list[State]]:
        """Encode sequences, then roll out. Return the values, [B, S] in the caller's units, and the states."""
        z_BT, length_B = normalised(sequences, states)
        y_BS, memory_BLM, error_BR = self._launch(states, z_BT, length_B, steps)
        return in_callers_units(y_BS, states), observed(states, memory_BLM, error_BR, length_B)

    def _launch(
        self, states: Sequence[State], z_BT: Float32, length_B: npt.NDArray[np.int64], steps: int
    ) -> tuple[Float32, Float32, Float32]:
        """Return normalised values [B, S], memories [B, L, M] and errors [B, R]."""
        loop = self.loop
        memory_BLM = np.stack([state.memory_LM for state in states])
        before_BLPH = self.padded(memory_BLM)
        shape = before_BLPH.shape
        sizes = [before_BLPH.size, z_BT.size, length_B.size]
        host = self._host(sum(sizes))
        parts = (before_BLPH.ravel(), z_BT.ravel(), length_B.astype(np.int32).view(np.float32))
        np.concatenate(parts, out=host.numpy())
        before, z, length = torch.split(host.to(loop.device, non_blocking=True), sizes)
        answers = loop(before.view(shape), steps, z.view(z_BT.shape), length.view(torch.int32))

        # The answers are parts of one tensor, so one copy brings them all.
        back = self._host(sum(part.numel() for part in answers))
        back.copy_(answers.after_BLPH._base, non_blocking=True)  # type: ignore[arg-type]
        if loop.device.type == "cuda":
            torch.cuda.current_stream(loop.device).synchronize()
        after, values, error = torch.split(back, [part.numel() for part in answers])
        memory = after.view(shape)[..., : self._metadata.architecture.hidden].reshape(memory_BLM.shape)
        # The pinned memory is used again, so what states keep is copied.
        return values.view(answers.values_BS.shape).numpy(), memory.numpy().copy(), error.view(-1, RECENT).numpy()

    def padded(self, memory_BLM: Float32) -> Float32:
        """Return memories as the kernel reads them, [B, L, P, H]."""
        rows, layers, _ = memory_BLM.shape
        hidden = self._metadata.architecture.hidden
        memory_BLPH = np.zeros((rows, layers, self.loop.parts, self.loop.shape.hidden), np.float32)
        memory_BLPH[..., :hidden] = memory_BLM.reshape(rows, layers, -1, hidden)
        return memory_BLPH

    def _host(self, size: int) -> Tensor:
        """Return memory of this machine that the card reads and writes by itself."""
        return torch.empty(size, pin_memory=self.loop.device.type == "cuda")


def _padded(module: torch.jit.ScriptModule, architecture: Architecture, hidden: int) -> list[Tensor]:
    """Return the weights as the kernel reads them, from `input_GH` to `readout_H`. Matrices are transposed."""
    weights, layers = module.state_dict(), architecture.layers
    gates = weights["rnn.weight_hh_l0"].shape[0] // architecture.hidden
    candidate = 2 if architecture.cell == "gru" else None  # its W_n h + b_hn is inside the reset gate
    input_GH, readout_H = torch.zeros(gates, hidden), torch.zeros(hidden)
    below_LGHH, recurrent_LGHH = torch.zeros(layers, gates, hidden, hidden), torch.zeros(layers, gates, hidden, hidden)
    bias_LGH, bias_n_LH = torch.zeros(layers, gates, hidden), torch.zeros(layers, hidden)
    own = slice(architecture.hidden)
    for layer in range(layers):
        W_x, W_h, b_x, b_h = (
            weights[f"rnn.{name}_l{layer}"].cpu().unflatten(0, (gates, architecture.hidden))
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        if layer == 0:
            input_GH[:, own] = W_x[..., 0]
        else:
            below_LGHH[layer, :, own, own] = W_x.transpose(1, 2)
        recurrent_LGHH[layer, :, own, own] = W_h.transpose(1, 2)
        bias_LGH[layer, :, own] = b_x + b_h
        if candidate is not None:
            bias_LGH[layer, candidate, own] = b_x[candidate]
            bias_n_LH[layer, own] = b_h[candidate]
    readout_H[own] = weights["readout.weight"][0]
    return [input_GH, below_LGHH, recurrent_LGHH, bias_LGH, bias_n_LH, readout_H]
