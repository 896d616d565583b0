"""The ensemble: an anchored network, and members that were fitted to series beside it.

`model/anchored.py` and `model/members` define both parts. The forecast of the model is a mean of theirs. In a rollout
each part has a closed loop of its own. The state is that of the anchored network, and behind its anchors that of the
members. So runtimes, tokens and streams handle an ensemble as they handle an anchored network.

The shape suffixes are those of `model/anchored.py`; K is the state of the anchors and the members together.
"""

import torch
from torch import Tensor, nn

from model.anchored import AnchoredNetwork
from model.anchors.state import sizes
from model.members.batched import Members
from model.metadata import Architecture
from model.units import Normalisation


class EnsembleNetwork(nn.Module):
    """An anchored network with members beside it, for one series."""

    def __init__(
        self,
        architecture: Architecture,
        normalisation: Normalisation = "range",
        offset: float = 0.0,
        scale: float | None = None,
    ) -> None:
        """Build both parts, the members with weights of zero. `model/units.py` describes the last three arguments.

        Raises:
            ValueError: the architecture has no members.
        """
        super().__init__()
        if architecture.members is None:
            raise ValueError("an ensemble has members")
        self.anchored = AnchoredNetwork(architecture, normalisation, offset, scale)
        self.members = Members(architecture.members)
        self.layers, self.memory = architecture.layers, architecture.memory

    @torch.jit.export
    def start(self, level_B: Tensor, scale_B: Tensor, season: int) -> Tensor:
        """Return the state of anchors and members before the first value [B, K], from the units of the sequences."""
        offset_B = torch.where(scale_B > 0, level_B / scale_B, 0.0).double()
        return torch.cat([self.anchored.start(level_B, scale_B, season), self.members.start(offset_B)], dim=1)

    @torch.jit.export
    def encode(
        self, z_BT: Tensor, length_B: Tensor, state_LBM: Tensor, season: int, anchors_BK: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See `AnchoredNetwork.encode`."""
        anchors_BK, members_BK = self._parts(anchors_BK, season)
        state_LBM, anchors_BK, error_BT = self.anchored.encode(z_BT, length_B, state_LBM, season, anchors_BK)
        given_BT = z_BT.to(members_BK.dtype)
        forecast_BT, ready_BT, members_BK = self.members.observe(given_BT, length_B, members_BK)
        own_BT = torch.where(ready_BT, given_BT - forecast_BT, error_BT.to(given_BT.dtype))
        error_BT = (error_BT + self.members.weight * (own_BT - error_BT)).to(z_BT.dtype)
        return state_LBM, torch.cat([anchors_BK, members_BK], dim=1), error_BT

    @torch.jit.export
    def rollout(self, state_LBM: Tensor, steps: int, season: int, anchors_BK: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `AnchoredNetwork.rollout`."""
        anchors_BK, members_BK = self._parts(anchors_BK, season)
        beside_BS, state_LBM, anchors_BK = self.anchored.rollout(state_LBM, steps, season, anchors_BK)
        values_BS, members_BK = self.members.rollout(beside_BS.to(members_BK.dtype), members_BK)
        return values_BS, state_LBM, torch.cat([anchors_BK, members_BK], dim=1)

    @torch.jit.export
    def generate(self, x_BT: Tensor, steps: int, season: int = 1) -> Tensor:
        """See `AnchoredNetwork.generate`."""
        level_B, scale_B = self.anchored.units(x_BT)
        z_BT = self.anchored.normalise(x_BT, level_B, scale_B)
        zero_LBM = z_BT.new_zeros(self.layers, x_BT.size(0), self.memory)
        length_B = torch.full([x_BT.size(0)], x_BT.size(1), dtype=torch.long, device=x_BT.device)
        anchors_BK = self.start(level_B, scale_B, season)
        state_LBM, anchors_BK, _ = self.encode(z_BT, length_B, zero_LBM, season, anchors_BK)
        y_BS, _, _ = self.rollout(state_LBM, steps, season, anchors_BK)
        return y_BS.to(x_BT.dtype) * scale_B.unsqueeze(1) + level_B.unsqueeze(1)

    def _parts(self, both_BK: Tensor, season: int) -> tuple[Tensor, Tensor]:
        """Return the state of the anchors and that of the members."""
        anchors = sum(sizes(season))
        return both_BK[:, :anchors], both_BK[:, anchors:]
