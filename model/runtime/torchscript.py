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
            self._fold = module.fold() if metadata.architecture.inputs == "value" else []

    def start(self, sequence: Sequence[float], season: int = 1) -> State:
        """See `Runtime.start`."""
        shape = (self._metadata.architecture.layers, self._metadata.architecture.memory)
        return State(np.zeros(shape, np.float32), *self._metadata.units(min(sequence), max(sequence)))

    @torch.inference_mode()
    def encode(self, sequences: Sequence[Sequence[float]], states: Sequence[State] | None = None) -> list[State]:
        """See `Runtime.encode`."""
        if states is None:
            states = [self.start(sequence) for sequence in sequences]
        z_BT, length_B = self._normalised(sequences, states)
        encoded = self._module.encode(z_BT, length_B, self._stacked(states))
        # Artifacts before version 0.3.0 return the state alone.
        state_LBM, error_BT = (encoded, torch.zeros(z_BT.shape)) if isinstance(encoded, torch.Tensor) else encoded
        after = zip(states, _memories(state_LBM), error_BT.cpu().numpy(), sequences, strict=True)
        return [_observed(state, memory_LM, error_T[: len(sequence)]) for state, memory_LM, error_T, sequence in after]

    @torch.inference_mode()
    def rollout(self, states: Sequence[State], steps: int) -> tuple[npt.NDArray[np.float64], list[State]]:
        """See `Runtime.rollout`."""
        y_BS, state_LBM = self._module.rollout(self._stacked(states), steps, self._fold)
        after = [
            state._replace(memory_LM=memory_LM, rolled_out=True)
            for state, memory_LM in zip(states, _memories(state_LBM), strict=True)
        ]
        return _in_callers_units(y_BS, states), after

    def forecast(self, sequence: Sequence[float], steps: int, season: int = 1) -> tuple[npt.NDArray[np.float64], State]:
        """See `Runtime.forecast`."""
        values_BS, (state,) = self.rollout(self.encode([sequence]), steps)
        return values_BS.reshape(steps), state

    def _normalised(
        self, sequences: Sequence[Sequence[float]], states: Sequence[State]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the values in the network's units, padded with zeros [B, T], and the number of each row's [B]."""
        lengths = [len(sequence) for sequence in sequences]
        z_BT = np.zeros((len(sequences), max(lengths)), np.float32)
        for z_T, sequence, state in zip(z_BT, sequences, states, strict=True):
            if state.scale > 0:
                z_T[: len(sequence)] = (np.asarray(sequence, np.float64) - state.level) / state.scale
        return torch.from_numpy(z_BT).to(self._place), torch.tensor(lengths, device=self._place)

    def _stacked(self, states: Sequence[State]) -> torch.Tensor:
        return torch.from_numpy(np.stack([state.memory_LM for state in states], axis=1)).to(self._place)


def _in_callers_units(y_BS: torch.Tensor, states: Sequence[State]) -> npt.NDArray[np.float64]:
    level_B1, scale_B1 = np.array([[state.level for state in states], [state.scale for state in states]])[..., None]
    values_BS: npt.NDArray[np.float64] = y_BS.cpu().numpy().astype(np.float64) * scale_B1 + level_B1
    return values_BS


def _memories(state_LBM: torch.Tensor) -> npt.NDArray[np.float32]:
    memory_BLM: npt.NDArray[np.float32] = state_LBM.transpose(0, 1).contiguous().cpu().numpy()
    return memory_BLM


def _observed(before: State, memory_LM: npt.NDArray[np.float32], error_T: npt.NDArray[np.float32]) -> State:
    """Return the state after as many more values as there are errors."""
    error_R = np.concatenate([before.error_R, error_T])[-RECENT:]
    observed = before.observed + len(error_T)
    residual, noise = residual_and_noise(error_R.tolist(), observed)
    return before._replace(memory_LM=memory_LM, observed=observed, error_R=error_R, residual=residual, noise=noise)


class ScriptedAnchoredRuntime(ScriptedRuntime):
    """TorchScript for anchored networks. The sequences of a call are computed in groups of the same season."""

    def start(self, sequence: Sequence[float], season: int = 1) -> State:
        """See `Runtime.start`."""
        state = super().start(sequence)
        level_B, scale_B = torch.tensor([[state.level], [state.scale]], dtype=torch.float64)
        anchors_BK = self._module.start(level_B, scale_B, season)
        return state._replace(season=season, anchors_K=anchors_BK[0].numpy())

    def encode(self, sequences: Sequence[Sequence[float]], states: Sequence[State] | None = None) -> list[State]:
        """See `Runtime.encode`."""
        if states is None:
            states = [self.start(sequence) for sequence in sequences]
        after = list(states)
        for rows in _by_season(states):
            group = self._encode([sequences[row] for row in rows], [states[row] for row in rows])
            for row, state in zip(rows, group, strict=True):
                after[row] = state
        return after

    @torch.inference_mode()
    def _encode(self, sequences: Sequence[Sequence[float]], states: Sequence[State]) -> list[State]:
        z_BT, length_B = self._normalised(sequences, states)
        state_LBM, anchors_BK, error_BT = self._module.encode(
            z_BT, length_B, self._stacked(states), states[0].season, self._anchors(states)
        )
        after = zip(
            states, _memories(state_LBM), anchors_BK.cpu().numpy(), error_BT.cpu().numpy(), sequences, strict=True
        )
        return [
            _observed(state, memory_LM, error_T[: len(sequence)])._replace(anchors_K=anchors_K)
            for state, memory_LM, anchors_K, error_T, sequence in after
        ]

    def rollout(self, states: Sequence[State], steps: int) -> tuple[npt.NDArray[np.float64], list[State]]:
        """See `Runtime.rollout`."""
        values_BS, after = np.empty((len(states), steps)), list(states)
        for rows in _by_season(states):
            values_BS[rows], group = self._rollout([states[row] for row in rows], steps)
            for row, state in zip(rows, group, strict=True):
                after[row] = state
        return values_BS, after

    @torch.inference_mode()
    def _rollout(self, states: Sequence[State], steps: int) -> tuple[npt.NDArray[np.float64], list[State]]:
        y_BS, state_LBM, anchors_BK = self._module.rollout(
            self._stacked(states), steps, states[0].season, self._anchors(states)
        )
        after = zip(states, _memories(state_LBM), anchors_BK.cpu().numpy(), strict=True)
        return _in_callers_units(y_BS, states), [
            state._replace(memory_LM=memory_LM, anchors_K=anchors_K, rolled_out=True)
            for state, memory_LM, anchors_K in after
        ]

    def forecast(self, sequence: Sequence[float], steps: int, season: int = 1) -> tuple[npt.NDArray[np.float64], State]:
        """See `Runtime.forecast`."""
        values_BS, (state,) = self.rollout(self.encode([sequence], [self.start(sequence, season)]), steps)
        return values_BS[0], state

    def _anchors(self, states: Sequence[State]) -> torch.Tensor:
        return torch.from_numpy(np.stack([state.anchors_K for state in states])).to(self._place)


def _by_season(states: Sequence[State]) -> list[list[int]]:
    """Return the indices of the states of each season."""
    rows: dict[int, list[int]] = {}
    for row, state in enumerate(states):
        rows.setdefault(state.season, []).append(row)
    return list(rows.values())
