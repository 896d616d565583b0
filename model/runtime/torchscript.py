"""The runtime that executes the artifact's TorchScript module itself, on CPU or CUDA, in batches."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from model.metadata import Architecture
from model.runtime.base import State


class ScriptedRuntime:
    """TorchScript on `device`. The rows of a batch are independent: padding never reaches a state."""

    name = "torchscript"
    batches = True

    def __init__(self, module: torch.jit.ScriptModule, architecture: Architecture, device: torch.device) -> None:
        self.device = device.type
        self._module = module
        self._place = device
        # Artifacts of older versions have no offset.
        self._offset = float(getattr(module, "offset", 0.0))
        self._state_shape = (architecture.layers, architecture.memory)
        with torch.inference_mode():
            self._fold = module.fold()

    def start(self, sequence: Sequence[float]) -> State:
        """See `Runtime.start`."""
        scale_B = self._module.scale(torch.from_numpy(np.array([sequence], np.float64)))
        return State(np.zeros(self._state_shape, np.float32), float(scale_B))

    @torch.inference_mode()
    def encode(self, sequences: Sequence[Sequence[float]], states: Sequence[State] | None = None) -> list[State]:
        """See `Runtime.encode`."""
        lengths = [len(sequence) for sequence in sequences]
        padded_BT = np.zeros((len(sequences), max(lengths)))
        for row, sequence in zip(padded_BT, sequences, strict=True):
            row[: len(sequence)] = sequence
        x_BT = torch.from_numpy(padded_BT).to(self._place)
        layers, memory = self._state_shape
        if states is None:
            scale_B = self._module.scale(x_BT)
            state_LBM = torch.zeros(layers, len(sequences), memory, device=self._place)
        else:
            scale_B = torch.tensor([state.scale for state in states], dtype=torch.float64, device=self._place)
            state_LBM = self._stacked(states)
        length_B = torch.tensor(lengths, device=self._place)
        state_LBM = self._module.encode(self._module.normalise(x_BT, scale_B), length_B, state_LBM)
        return _states(state_LBM, scale_B.tolist())

    @torch.inference_mode()
    def rollout(self, states: Sequence[State], steps: int) -> tuple[npt.NDArray[np.float64], list[State]]:
        """See `Runtime.rollout`."""
        y_BS, state_LBM = self._module.rollout(self._stacked(states), steps, self._fold)
        scales = [state.scale for state in states]
        values_BS = y_BS.cpu().numpy().astype(np.float64) * np.array(scales)[:, None] + self._offset
        return values_BS, _states(state_LBM, scales)

    def forecast(self, sequence: Sequence[float], steps: int) -> npt.NDArray[np.float64]:
        """See `Runtime.forecast`."""
        values_BS, _ = self.rollout(self.encode([sequence]), steps)
        return values_BS.reshape(steps)

    def _stacked(self, states: Sequence[State]) -> torch.Tensor:
        return torch.from_numpy(np.stack([state.memory_LM for state in states], axis=1)).to(self._place)


def _states(state_LBM: torch.Tensor, scales: Sequence[float]) -> list[State]:
    memory_BLM = state_LBM.transpose(0, 1).contiguous().cpu().numpy()
    return [State(memory_LM, scale) for memory_LM, scale in zip(memory_BLM, scales, strict=True)]
