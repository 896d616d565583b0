"""The network that is trained, exported and served: `torch.nn.RNN` and a linear readout, with a folded rollout.

The network works on normalised values. `scale`, `encode` and `rollout` are what a runtime calls; `generate` is all of
it in one call, in the caller's units, for whoever loads the TorchScript file without this project.

**The fold.** A rollout feeds each output back as the next input, x = W_y h + b_y. Put into the lowest layer's equation,

    h' = tanh(W_h h + b_h + W_x x + b_x) = tanh(W_h h + (W_x W_y) h_top + (b_h + b_x + W_x b_y)),

the closed loop is a recurrent network without an input, in which the lowest layer reads the top layer's last state.
With one layer both matrices act on the same state and become one: a whole rollout is then a single `rnn_tanh` call on
zeros. Exact in real arithmetic, and in floating point up to rounding. (Output feedback has long been used this way in
reservoir computing; see Jaeger, "The 'echo state' approach", GMD report 148, 2001.)

Shape suffixes: B batch, T time, S steps of a rollout, H hidden units, L layers. One value is seen at each time.
"""

import torch
from torch import Tensor, nn

from model.metadata import Architecture


class Network(nn.Module):
    """A recurrent network for one series: the next value from the values so far."""

    def __init__(self, architecture: Architecture, offset: float = 0.0, fixed_scale: float = 0.0) -> None:
        """A sequence's units are its own: less `offset`, divided by `fixed_scale`, or by its own scale if that is 0."""
        super().__init__()
        self.offset = offset
        self.fixed_scale = fixed_scale
        self.layers = architecture.layers
        self.rnn = nn.RNN(1, architecture.hidden, architecture.layers, batch_first=True)
        self.readout = nn.Linear(architecture.hidden, 1)

    def forward(self, x_BT: Tensor, h_LBH: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Open loop: what follows each value, from an initial state or from zero.

        Args:
            x_BT: normalised values.
            h_LBH: the state before the first of them; None for zero.

        Returns:
            The predictions [B, T] (entry t is the value after x_t) and the state after the last value, [L, B, H].
        """
        h_BTH, h_LBH = self.rnn(x_BT.unsqueeze(-1), h_LBH)
        return self.readout(h_BTH).squeeze(-1), h_LBH

    def weights(self, layer: int) -> list[Tensor]:
        """W_x [H, 1 or H], W_h [H, H], b_x [H], b_h [H] of one layer."""
        # Not `rnn.weight_ih_l0` and so on: TorchScript has no attribute access by a computed name.
        return self.rnn._flat_weights[4 * layer : 4 * layer + 4]  # type: ignore[return-value]

    @torch.jit.export
    def scale(self, x_BT: Tensor) -> Tensor:
        """What each sequence is divided by, [B]: the fixed scale, or else its amplitude, the largest absolute value.

        Sequences of different lengths are padded with zeros, which leave it as it is.
        """
        if self.fixed_scale > 0:
            return torch.full_like(x_BT[:, 0], self.fixed_scale)
        return x_BT.abs().amax(dim=1)

    @torch.jit.export
    def normalise(self, x_BT: Tensor, scale_B: Tensor) -> Tensor:
        """`x_BT` in the network's units, in single precision. A sequence of scale zero stays zero.

        The division is done in the precision of `x_BT`: give float64, so that no magnitude is lost before it.
        """
        return torch.where(scale_B > 0, (x_BT.T - self.offset) / scale_B, 0.0).T.to(self.readout.weight.dtype)

    @torch.jit.export
    def encode(self, x_BT: Tensor, length_B: Tensor, h_LBH: Tensor) -> Tensor:
        """The state [L, B, H] after the last value of each sequence.

        Args:
            x_BT: normalised values, padded on the right with anything finite.
            length_B: how many values of each row are its sequence, 1 to T.
            h_LBH: the state before the first value.
        """
        # One layer at a time, because the last state of a row is where its own sequence ends, and `nn.RNN` gives
        # every step of the top layer only. What is computed past the end of a sequence is never read.
        last_B1H = (length_B - 1).view(-1, 1, 1).expand(-1, 1, h_LBH.size(2))
        below_BTI = x_BT.unsqueeze(-1)
        states: list[Tensor] = []
        for layer in range(self.layers):
            below_BTI, _ = torch.rnn_tanh(
                below_BTI,
                h_LBH[layer : layer + 1].contiguous(),
                self.weights(layer),
                True,  # has biases
                1,  # layers
                0.0,  # dropout
                False,  # training
                False,  # bidirectional
                True,  # batch first
            )
            states.append(below_BTI.gather(1, last_B1H).squeeze(1))
        return torch.stack(states)

    @torch.jit.export
    def fold(self) -> tuple[Tensor, Tensor]:
        """The feedback matrix W_x W_y [H, H] and the folded bias [H] of the lowest layer. Computed once at load."""
        W_x_H1, _, b_x_H, b_h_H = self.weights(0)
        return W_x_H1 @ self.readout.weight, b_h_H + b_x_H + W_x_H1 @ self.readout.bias

    @torch.jit.export
    def rollout(self, h_LBH: Tensor, steps: int, fold: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Closed loop: the next `steps` values [B, S] in normalised units, and the state [L, B, H] after them.

        The first value is the readout of `h_LBH` itself; going on from the returned state gives the value after the
        last one. `fold` is what `fold()` returns.
        """
        feedback_HH, b_H = fold
        if self.layers == 1:
            zeros_BS1 = torch.zeros(h_LBH.size(1), steps, 1, dtype=h_LBH.dtype, device=h_LBH.device)
            weights = [zeros_BS1.new_zeros(b_H.size(0), 1), self.weights(0)[1] + feedback_HH]
            weights += [b_H, torch.zeros_like(b_H)]
            h_BSH, last_LBH = torch.rnn_tanh(zeros_BS1, h_LBH, weights, True, 1, 0.0, False, False, True)
            h_BSH = torch.cat([h_LBH[0].unsqueeze(1), h_BSH[:, :-1]], dim=1)
            return self.readout(h_BSH).squeeze(-1), last_LBH

        # TorchScript compiles this loop; no library call runs a stack whose lowest layer reads the top one.
        W_h_HH = self.weights(0)[1]
        h = list(h_LBH.unbind(0))
        top: list[Tensor] = []
        for _ in range(steps):
            top.append(h[-1])
            h[0] = torch.tanh(h[0] @ W_h_HH.T + h[-1] @ feedback_HH.T + b_H)
            for layer in range(1, self.layers):
                W_x_HH, W_hh_HH, b_x_H, b_h_H = self.weights(layer)
                h[layer] = torch.tanh(h[layer - 1] @ W_x_HH.T + h[layer] @ W_hh_HH.T + b_x_H + b_h_H)
        return self.readout(torch.stack(top, dim=1)).squeeze(-1), torch.stack(h)

    @torch.jit.export
    def generate(self, x_BT: Tensor, steps: int) -> Tensor:
        """The next `steps` values [B, S] of sequences [B, T] of equal length, both in the caller's units.

        A rollout keeps the scale that it began with. Where that is the sequence's own, twice the input gives twice the
        output.
        """
        scale_B = self.scale(x_BT)
        length_B = torch.full([x_BT.size(0)], x_BT.size(1), dtype=torch.long, device=x_BT.device)
        normalised_BT = self.normalise(x_BT, scale_B)
        zero_LBH = normalised_BT.new_zeros(self.layers, x_BT.size(0), self.rnn.hidden_size)
        h_LBH = self.encode(normalised_BT, length_B, zero_LBH)
        y_BS, _ = self.rollout(h_LBH, steps, self.fold())
        return y_BS.to(x_BT.dtype) * scale_B.unsqueeze(1) + self.offset
