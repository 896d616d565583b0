"""The anchored network: it does not predict a value, but mixes the forecasts of simple methods, the anchors.

`model/anchors` defines the anchors A_k and their inputs u_t for the network. With the hidden state h of the top layer,

    ẑ_(t+1) = Σ_k p_k A_k(t) + 0.3 d        p = softmax(o_1 … o_13)        [o, d] = W_y h_t + b_y

W_y and b_y begin at zero, so the network begins as the mean of its anchors. What it learns is which of them to trust,
from their past errors in the same sequence, and a correction d.

**The closed loop** gives each forecast to the anchors and, through their inputs, to the network.

**The state** is two tensors: what the recurrent layers remember, [L, B, M], as in `model/network.py`, and what the
anchors remember, [B, K], as in `model/anchors/state.py`. K depends on the season, so all sequences of one call have
the same season. The anchors compute in double precision, because recursive least squares squares the condition of its
inputs. The layers see their inputs in single precision.

A sequence may be given in parts of any length, and a rollout may stop and go on anywhere. Nothing depends on values
that come later. The forecast follows a change of unit, f(a x) = a f(x), but not a change of level: one anchor depends
on where the caller's zero is.

Shape suffixes: B batch, T time, S steps of a rollout, I inputs, A anchors, O outputs (A + 1), H hidden units, M memory
(H, or 2H for an LSTM), L layers, K the anchors' state.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from model.anchors import ANCHORS, INPUTS
from model.anchors.batched import feed_back, observe
from model.anchors.state import start, unpack
from model.metadata import Architecture
from model.recurrent import RecurrentNetwork
from model.units import Normalisation

CORRECTION = 0.3
"""Factor of the correction d. It makes the correction learn more slowly than the mixture."""


class AnchoredNetwork(RecurrentNetwork):
    """A recurrent network for one series. It mixes simple forecasts of the next value."""

    def __init__(
        self,
        architecture: Architecture,
        normalisation: Normalisation = "range",
        offset: float = 0.0,
        scale: float | None = None,
    ) -> None:
        """Build the network: random layers, and a readout of zeros. `model/units.py` describes the other arguments."""
        super().__init__(architecture, INPUTS, len(ANCHORS) + 1, normalisation, offset, scale)
        nn.init.zeros_(self.readout.weight)
        nn.init.zeros_(self.readout.bias)
        self.correction = CORRECTION

    def forward(
        self, z_BT: Tensor, season: int, anchors_BK: Tensor, state_LBM: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run the open loop: predict the value after each given value.

        Args:
            z_BT: normalised values.
            season: the season of all sequences, 1 for none.
            anchors_BK: the anchors' state before the first value: the result of `start`, at first.
            state_LBM: the state before the first value; None for zero.

        Returns:
            The predictions [B, T] (entry t is the value after z_t), and both states after the last value.
        """
        if state_LBM is None:
            state_LBM = z_BT.new_zeros(self.layers, z_BT.size(0), self.memory)
        length_B = torch.full([z_BT.size(0)], z_BT.size(1), dtype=torch.long, device=z_BT.device)
        u_BTI, forecast_BTA, anchors_BK = observe(z_BT.to(anchors_BK.dtype), length_B, anchors_BK, season)
        h_BTH, state_LBM = self.run(u_BTI.to(z_BT.dtype), state_LBM, self.weights(0, self.layers))
        return self.mix(self.readout(h_BTH), forecast_BTA), state_LBM, anchors_BK

    def mix(self, o_BO: Tensor, forecast_BA: Tensor) -> Tensor:
        """Return the mixture of the anchors [B] from the readout's outputs. Both may have more dimensions in front."""
        p_BA = torch.softmax(o_BO[..., :-1], dim=-1)
        return ((p_BA * forecast_BA).sum(-1) + self.correction * o_BO[..., -1]).to(o_BO.dtype)

    @torch.jit.export
    def start(self, level_B: Tensor, scale_B: Tensor, season: int) -> Tensor:
        """Return the anchors' state before the first value [B, K], from the units of the sequences."""
        offset_B = torch.where(scale_B > 0, level_B / scale_B, 0.0)
        return start(offset_B.double(), season)

    @torch.jit.export
    def encode(
        self, z_BT: Tensor, length_B: Tensor, state_LBM: Tensor, season: int, anchors_BK: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return both states after the last value of each sequence, and the error of each value [B, T].

        The error is the value minus its prediction from those before it. That of the first value of a sequence means
        nothing. Neither do those of the padding.

        Args:
            z_BT: normalised values, padded on the right with any finite values.
            length_B: the number of values of each row that belong to its sequence, 1 to T.
            state_LBM: the state before the first value.
            season: the season of all sequences, 1 for none.
            anchors_BK: the anchors' state before the first value: the result of `start`, at first.
        """
        first_B = self.expected(state_LBM, season, anchors_BK)
        u_BTI, forecast_BTA, anchors_BK = observe(z_BT.to(anchors_BK.dtype), length_B, anchors_BK, season)
        order_B = length_B.argsort(descending=True)  # packing ends each row where its own sequence ends
        back_B, rows_B = order_B.argsort(), length_B[order_B].cpu()
        packed = pack_padded_sequence(u_BTI[order_B].to(z_BT.dtype), rows_B, batch_first=True)
        h_NH, sorted_LBM = self.run_packed(packed.data, packed.batch_sizes, state_LBM[:, order_B])
        o = PackedSequence(self.readout(h_NH), packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
        o_BTO, _ = pad_packed_sequence(o, batch_first=True, total_length=z_BT.size(1))
        after_BT = self.mix(o_BTO[back_B], forecast_BTA)
        expected_BT = torch.cat([first_B.unsqueeze(1), after_BT[:, :-1]], dim=1)
        return sorted_LBM[:, back_B], anchors_BK, z_BT - expected_BT

    def expected(self, state_LBM: Tensor, season: int, anchors_BK: Tensor) -> Tensor:
        """Return the next value of each sequence, [B]."""
        return self.mix(self.readout(state_LBM[-1, :, : self.hidden]), unpack(anchors_BK, season).forecast_BA)

    @torch.jit.export
    def rollout(self, state_LBM: Tensor, steps: int, season: int, anchors_BK: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the closed loop. Return the next `steps` values [B, S] in normalised units and both states after them.

        Continuing from the returned states gives the value after the last one.
        """
        weights = [self.weights(layer) for layer in range(self.layers)]
        states = list(state_LBM.unbind(0))
        forecast_BA = unpack(anchors_BK, season).forecast_BA
        values: list[Tensor] = []
        for _ in range(steps):
            z_B = self.mix(self.readout(states[-1][:, : self.hidden]), forecast_BA)
            values.append(z_B)
            u_BI, forecast_BA, anchors_BK = feed_back(z_B.to(anchors_BK.dtype), anchors_BK, season)
            below_BI = u_BI.to(z_B.dtype)
            for layer in range(self.layers):
                states[layer] = self.step(below_BI, states[layer], weights[layer])
                below_BI = states[layer][:, : self.hidden]
        return torch.stack(values, dim=1), torch.stack(states), anchors_BK

    @torch.jit.export
    def generate(self, x_BT: Tensor, steps: int, season: int = 1) -> Tensor:
        """Return the next `steps` values [B, S] of sequences [B, T] of equal length, both in the caller's units.

        A rollout keeps the units that it began with.
        """
        level_B, scale_B = self.units(x_BT)
        z_BT = self.normalise(x_BT, level_B, scale_B)
        zero_LBM = z_BT.new_zeros(self.layers, x_BT.size(0), self.memory)
        length_B = torch.full([x_BT.size(0)], x_BT.size(1), dtype=torch.long, device=x_BT.device)
        anchors_BK = self.start(level_B, scale_B, season)
        state_LBM, anchors_BK, _ = self.encode(z_BT, length_B, zero_LBM, season, anchors_BK)
        y_BS, _, _ = self.rollout(state_LBM, steps, season, anchors_BK)
        return y_BS.to(x_BT.dtype) * scale_B.unsqueeze(1) + level_B.unsqueeze(1)
