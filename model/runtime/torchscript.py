"""The runtime that executes the artifact's TorchScript module itself, on CPU or CUDA, in batches."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from model.fit import RECENT
from model.metadata import Metadata
from model.runtime.base import State
from model.runtime.batches import first_state, in_callers_units, normalised, observed


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
        return first_state(self._metadata, sequence)

    @torch.inference_mode()
    def encode(self, sequences: Sequence[Sequence[float]], states: Sequence[State] | None = None) -> list[State]:
        """See `Runtime.encode`."""
        if states is None:
            states = [self.start(sequence) for sequence in sequences]
        z_BT, length_B = self._placed(sequences, states)
        encoded = self._module.encode(z_BT, length_B, self._stacked(states))
        # Artifacts before version 0.3.0 return the state alone.
        state_LBM, error_BT = (encoded, torch.zeros(z_BT.shape)) if isinstance(encoded, torch.Tensor) else encoded
        return observed(states, _memories(state_LBM), _ends(error_BT, length_B), length_B.cpu().numpy())

    @torch.inference_mode()
    def rollout(self, states: Sequence[State], steps: int) -> tuple[npt.NDArray[np.float64], list[State]]:
        """See `Runtime.rollout`."""
        y_BS, state_LBM = self._module.rollout(self._stacked(states), steps, self._fold)
        after = [
            state._replace(memory_LM=memory_LM, rolled_out=True)
            for state, memory_LM in zip(states, _memories(state_LBM), strict=True)
        ]
        return in_callers_units(y_BS.cpu().numpy(), states), after

    def forecast(self, sequence: Sequence[float], steps: int, season: int = 1) -> tuple[npt.NDArray[np.float64], State]:
        """See `Runtime.forecast`."""
        values_BS, (state,) = self.rollout(self.encode([sequence]), steps)
        return values_BS.reshape(steps), state

    def _placed(
        self, sequences: Sequence[Sequence[float]], states: Sequence[State]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return `normalised`, on the device."""
        z_BT, length_B = normalised(sequences, states)
        return torch.from_numpy(z_BT).to(self._place), torch.from_numpy(length_B).to(self._place)

    def _stacked(self, states: Sequence[State]) -> torch.Tensor:
        return torch.from_numpy(np.stack([state.memory_LM for state in states], axis=1)).to(self._place)


def _ends(error_BT: torch.Tensor, length_B: torch.Tensor) -> npt.NDArray[np.float32]:
    """Return the last `RECENT` errors of each row, [B, RECENT], the newest last. A shorter row has others first."""
    place_BR = (length_B[:, None] - RECENT + torch.arange(RECENT, device=length_B.device)).clamp(min=0)
    ends_BR: npt.NDArray[np.float32] = error_BT.gather(1, place_BR).cpu().numpy()
    return ends_BR


def _memories(state_LBM: torch.Tensor) -> npt.NDArray[np.float32]:
    memory_BLM: npt.NDArray[np.float32] = state_LBM.transpose(0, 1).contiguous().cpu().numpy()
    return memory_BLM


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
        z_BT, length_B = self._placed(sequences, states)
        state_LBM, anchors_BK, error_BT = self._module.encode(
            z_BT, length_B, self._stacked(states), states[0].season, self._anchors(states)
        )
        after = observed(states, _memories(state_LBM), _ends(error_BT, length_B), length_B.cpu().numpy())
        return [
            state._replace(anchors_K=anchors_K)
            for state, anchors_K in zip(after, anchors_BK.cpu().numpy(), strict=True)
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
        return in_callers_units(y_BS.cpu().numpy(), states), [
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
