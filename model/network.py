"""The network that is trained, exported and served: `torch.nn.RNN`, `GRU` or `LSTM` and a linear readout.

The network works on normalised values (`model/units.py`). Runtimes normalise a sequence and call `encode` and
`rollout`. `generate` does it all in one call, in the caller's units, for programs that load the TorchScript file
without this project.

**The state** is one tensor, [L, B, M]: what each layer remembers, as in `model/cell.py`. For an LSTM it is h with c
behind it. Code that passes states around need not know which cell they belong to.

**The fold.** A rollout feeds each output back as the next input, x = W_y h + b_y. Substituted into the equation of one
layer,

    h' = tanh(W_h h + b_h + W_x x + b_x) = tanh((W_h + W_x W_y) h + (b_h + b_x + W_x b_y)),

the closed loop becomes a recurrent network without an input: a whole rollout is a single `rnn_tanh` call on zeros. The
gates of an LSTM add x and h in the same way, so they fold too. The fold is exact in real arithmetic; in floating point
it is exact up to rounding. (Reservoir computing has long used output feedback this way; see Jaeger, "The 'echo state'
approach", GMD report 148, 2001.)

Where the fold does not pay, x is fed back as the single number that it is. That costs H multiply-adds a gate:

- GRU: its candidate has W_h h inside the reset gate and W_x x outside it, so they cannot be merged into one matrix. A
  separate matrix W_x W_y would cost H² multiply-adds for what x gives for H.
- A stack: the lowest layer reads x from the top layer and W_h h from itself. Again these are two matrices, at the same
  price.

Shape suffixes: B batch, T time, S steps of a rollout, H hidden units, M memory (H, or 2H for an LSTM), L layers.
The input has one value at each time.
"""

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from model.metadata import Architecture
from model.recurrent import RecurrentNetwork
from model.units import Normalisation


class Network(RecurrentNetwork):
    """A recurrent network for one series. It predicts the next value from the values so far."""

    def __init__(
        self,
        architecture: Architecture,
        normalisation: Normalisation = "range",
        offset: float = 0.0,
        scale: float | None = None,
    ) -> None:
        """Build the network with random weights. `model/units.py` describes the other arguments."""
        super().__init__(architecture, 1, 1, normalisation, offset, scale)

    def forward(self, x_BT: Tensor, state_LBM: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run the open loop: predict the value after each given value, from an initial state or from zero.

        Args:
            x_BT: normalised values.
            state_LBM: the state before the first value; None for zero.

        Returns:
            The predictions [B, T] (entry t is the value after x_t) and the state after the last value, [L, B, M].
        """
        if state_LBM is None:
            state_LBM = x_BT.new_zeros(self.layers, x_BT.size(0), self.memory)
        h_BTH, state_LBM = self.run(x_BT.unsqueeze(-1), state_LBM, self.weights(0, self.layers))
        return self.readout(h_BTH).squeeze(-1), state_LBM

    @torch.jit.export
    def encode(self, x_BT: Tensor, length_B: Tensor, state_LBM: Tensor) -> tuple[Tensor, Tensor]:
        """Return the state [L, B, M] after the last value of each sequence, and the error of each value [B, T].

        The error is the value minus its prediction from those before it. That of the first value after a zero state
        means nothing. Neither do those of the padding.

        Args:
            x_BT: normalised values, padded on the right with any finite values.
            length_B: the number of values of each row that belong to its sequence, 1 to T.
            state_LBM: the state before the first value.
        """
        # Packing ends each row where its own sequence ends. Training does not pack: PyTorch's gradients of packed
        # sequences take twice as long.
        order_B = length_B.argsort(descending=True)
        back_B, rows_B = order_B.argsort(), length_B[order_B].cpu()
        packed = pack_padded_sequence(x_BT[order_B].unsqueeze(-1), rows_B, batch_first=True)
        h_NH, sorted_LBM = self.run_packed(packed.data, packed.batch_sizes, state_LBM[:, order_B])
        after_N1 = self.readout(h_NH)
        after = PackedSequence(after_N1, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
        after_BT1, _ = pad_packed_sequence(after, batch_first=True)
        first_B1 = self.readout(state_LBM[-1, :, : self.hidden])
        expected_BT = torch.cat([first_B1, after_BT1[back_B, :-1, 0]], dim=1)
        return sorted_LBM[:, back_B], x_BT - expected_BT

    @torch.jit.export
    def fold(self) -> list[Tensor]:
        """Return the weights of the closed loop as a network without an input, in the order of a layer's weights.

        The list is empty where the network does not fold. Runtimes compute it once, when they load the network.
        """
        if self.cell == "gru" or self.layers > 1:
            return []
        W_x_G1, W_h_GH, b_x_G, b_h_G = self.weights(0)
        b_G = b_h_G + b_x_G + W_x_G1 @ self.readout.bias
        return [torch.zeros_like(W_x_G1), W_h_GH + W_x_G1 @ self.readout.weight, b_G, torch.zeros_like(b_G)]

    @torch.jit.export
    def rollout(self, state_LBM: Tensor, steps: int, fold: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Run the closed loop. Return the next `steps` values [B, S] in normalised units and the state [L, B, M] after
        them.

        The first value is the readout of the given state. Continuing from the returned state gives the value after the
        last one. `fold` is the result of `fold()`.
        """
        if len(fold) > 0:
            zeros_BS1 = torch.zeros(state_LBM.size(1), steps, 1, dtype=state_LBM.dtype, device=state_LBM.device)
            h_BSH, last_LBM = self.run(zeros_BS1, state_LBM, fold)
            h_BSH = torch.cat([state_LBM[0, :, : self.hidden].unsqueeze(1), h_BSH[:, :-1]], dim=1)
            return self.readout(h_BSH).squeeze(-1), last_LBM

        # TorchScript compiles this loop, because no library call feeds an output back.
        weights = [self.weights(layer) for layer in range(self.layers)]
        states = list(state_LBM.unbind(0))
        values: list[Tensor] = []
        for _ in range(steps):
            below_BI = self.readout(states[-1][:, : self.hidden])
            values.append(below_BI)
            for layer in range(self.layers):
                states[layer] = self.step(below_BI, states[layer], weights[layer])
                below_BI = states[layer][:, : self.hidden]
        return torch.cat(values, dim=1), torch.stack(states)

    @torch.jit.export
    def generate(self, x_BT: Tensor, steps: int) -> Tensor:
        """Return the next `steps` values [B, S] of sequences [B, T] of equal length, both in the caller's units.

        A rollout keeps the units that it began with.
        """
        level_B, scale_B = self.units(x_BT)
        length_B = torch.full([x_BT.size(0)], x_BT.size(1), dtype=torch.long, device=x_BT.device)
        normalised_BT = self.normalise(x_BT, level_B, scale_B)
        zero_LBM = normalised_BT.new_zeros(self.layers, x_BT.size(0), self.memory)
        state_LBM, _ = self.encode(normalised_BT, length_B, zero_LBM)
        y_BS, _ = self.rollout(state_LBM, steps, self.fold())
        return y_BS.to(x_BT.dtype) * scale_B.unsqueeze(1) + level_B.unsqueeze(1)
