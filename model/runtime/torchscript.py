"""The runtime that executes the artifact's TorchScript module itself, on CPU or CUDA, in batches."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from model.fit import RECENT, residual_and_noise
from model.metadata import Metadata
from model.runtime.base import State


class ScriptedRuntime:
    """TorchScript on `device`. The rows of a batch are independent: padding never reaches a state."""

    name = "torchscript"
    batches = True

    def __init__(self, module: torch.jit.ScriptModule, metadata: Metadata, device: torch.device) -> None:
        self.device = device.type
        self._module = module
        self._metadata = metadata
        self._place = device
        with torch.inference_mode():
            self._fold = module.fold()

    def start(self, sequence: Sequence[float]) -> State:
        """See `Runtime.start`."""
        shape = (self._metadata.architecture.layers, self._metadata.architecture.memory)
        return State(np.zeros(shape, np.float32), *self._metadata.units(min(sequence), max(sequence)))

    @torch.inference_mode()
    def encode(self, sequences: Sequence[Sequence[float]], states: Sequence[State] | None = None) -> list[State]:
        """See `Runtime.encode`."""
        if states is None:
            states = [self.start(sequence) for sequence in sequences]
        lengths = [len(sequence) for sequence in sequences]
        z_BT = np.zeros((len(sequences), max(lengths)), np.float32)
        for z_T, sequence, state in zip(z_BT, sequences, states, strict=True):
            if state.scale > 0:
                z_T[: len(sequence)] = (np.asarray(sequence, np.float64) - state.level) / state.scale
        encoded = self._module.encode(
            torch.from_numpy(z_BT).to(self._place), torch.tensor(lengths, device=self._place), self._stacked(states)
        )
        # Artifacts before version 0.3.0 return the state alone.
        state_LBM, error_BT = (encoded, torch.zeros(z_BT.shape)) if isinstance(encoded, torch.Tensor) else encoded
        after = zip(states, _memories(state_LBM), error_BT.cpu().numpy(), lengths, strict=True)
        return [_observed(state, memory_LM, error_T[:length]) for state, memory_LM, error_T, length in after]

    @torch.inference_mode()
    def rollout(self, states: Sequence[State], steps: int) -> tuple[npt.NDArray[np.float64], list[State]]:
        """See `Runtime.rollout`."""
        y_BS, state_LBM = self._module.rollout(self._stacked(states), steps, self._fold)
        level_B1, scale_B1 = np.array([[state.level for state in states], [state.scale for state in states]])[..., None]
        after = [
            state._replace(memory_LM=memory_LM, rolled_out=True)
            for state, memory_LM in zip(states, _memories(state_LBM), strict=True)
        ]
        return y_BS.cpu().numpy().astype(np.float64) * scale_B1 + level_B1, after

    def forecast(self, sequence: Sequence[float], steps: int) -> tuple[npt.NDArray[np.float64], State]:
        """See `Runtime.forecast`."""
        values_BS, (state,) = self.rollout(self.encode([sequence]), steps)
        return values_BS.reshape(steps), state

    def _stacked(self, states: Sequence[State]) -> torch.Tensor:
        return torch.from_numpy(np.stack([state.memory_LM for state in states], axis=1)).to(self._place)


def _memories(state_LBM: torch.Tensor) -> npt.NDArray[np.float32]:
    memory_BLM: npt.NDArray[np.float32] = state_LBM.transpose(0, 1).contiguous().cpu().numpy()
    return memory_BLM


def _observed(before: State, memory_LM: npt.NDArray[np.float32], error_T: npt.NDArray[np.float32]) -> State:
    """Return the state after as many more values as there are errors."""
    error_R = np.concatenate([before.error_R, error_T])[-RECENT:]
    observed = before.observed + len(error_T)
    residual, noise = residual_and_noise(error_R.tolist(), observed)
    return before._replace(memory_LM=memory_LM, observed=observed, error_R=error_R, residual=residual, noise=noise)
