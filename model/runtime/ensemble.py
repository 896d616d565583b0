"""The CPU runtime of ensembles: the compiled loop of the anchored network, and then that of the members.

`model/ensemble.py` defines the same mathematics.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from model.anchors.state import layout
from model.fit import RECENT, residual_and_noise
from model.members.batched import Members
from model.metadata import Metadata
from model.runtime.anchored import AnchoredRuntime
from model.runtime.base import State
from model.runtime.fused import Float64
from model.runtime.kernel import SMALLEST
from model.runtime.members import compile_members, first_state, fitted


class EnsembleRuntime(AnchoredRuntime):
    """Both compiled loops of an ensemble. A state has that of the members behind the anchors'."""

    def __init__(self, module: torch.nn.Module, metadata: Metadata) -> None:
        super().__init__(module.anchored, metadata)  # type: ignore[arg-type]
        sizes = metadata.architecture.members
        if sizes is None:
            raise ValueError("the architecture has no members")
        members = Members(sizes)
        members.load_state_dict(module.members.state_dict())  # type: ignore[union-attr]
        self._sizes, self._members = sizes, fitted(members.weights())
        self._beside = compile_members()
        self.cached = self.cached and self._beside.cached

    def start(self, sequence: Sequence[float], season: int = 1) -> State:
        """See `Runtime.start`."""
        state = super().start(sequence, season)
        members_K = first_state(self._sizes, float(state.anchors_K[layout(season).offset][0]))
        return state._replace(anchors_K=np.concatenate([state.anchors_K, members_K]))

    def forecast_many(
        self, value_N: Float64, start_B1: npt.NDArray[np.int64], steps: int, season_B: npt.NDArray[np.int64]
    ) -> tuple[Float64, Float64]:
        """See `FusedRuntime.forecast_many`. The sequences are forecast one after the other."""
        values_BS, known_B5 = np.empty((len(season_B), steps)), np.empty((len(season_B), 5))
        for b, (first, end) in enumerate(pairwise(start_B1.tolist())):
            values_BS[b], state = self.forecast(value_N[first:end].tolist(), steps, int(season_B[b]))
            known_B5[b] = state.level, state.scale, state.residual, state.noise, state.later
        return values_BS, known_B5

    def _run(self, before: State, sequence: Sequence[float] | Float64, values_S: Float64) -> State:
        """See `AnchoredRuntime._run`."""
        anchors = layout(before.season).size
        members_K = before.anchors_K[anchors:].copy()
        after = super()._run(before._replace(anchors_K=before.anchors_K[:anchors]), sequence, values_S)
        scale = after.scale if after.scale > SMALLEST else math.inf  # a constant sequence is encoded as zeros
        z_T = ((np.array(sequence, np.float64) - after.level) / scale).astype(np.float32).astype(np.float64)
        error_R = after.error_R.copy()
        new_R = error_R[RECENT - min(RECENT, len(z_T)) :]
        z_S = (values_S - after.level) / scale
        self._beside.run(members_K, z_T, new_R, z_S, *self._members)
        values_S[:] = after.level + after.scale * z_S
        residual_B, noise_B = residual_and_noise(error_R[None], np.array([after.observed]))
        return after._replace(
            anchors_K=np.concatenate([after.anchors_K, members_K]),
            error_R=error_R,
            residual=residual_B.item(),
            noise=noise_B.item(),
        )
