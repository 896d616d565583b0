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
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from model.metadata import Architecture, CellKind
from model.units import Normalisation

_MODULES: dict[CellKind, type[nn.RNN | nn.GRU | nn.LSTM]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class Network(nn.Module):
    """A recurrent network for one series. It predicts the next value from the values so far."""

    def __init__(
        self,
        architecture: Architecture,
        normalisation: Normalisation = "range",
        offset: float = 0.0,
        scale: float | None = None,
    ) -> None:
        """Build the network with random weights. `model/units.py` describes the other arguments."""
        super().__init__()
        self.normalisation: Normalisation = normalisation
        self.offset = offset
        self.fixed_scale = scale or 1.0
        self.cell: CellKind = architecture.cell
        self.layers = architecture.layers
        self.hidden = architecture.hidden
        self.memory = architecture.memory
        self.rnn = _MODULES[self.cell](1, self.hidden, self.layers, batch_first=True)
        self.readout = nn.Linear(self.hidden, 1)

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

    def weights(self, first: int, layers: int = 1) -> list[Tensor]:
        """Return W_x, W_h, b_x, b_h of `layers` layers, from layer `first` upwards; each has the rows of all gates."""
        # TorchScript cannot access an attribute by a computed name, such as `rnn.weight_ih_l0`.
        return self.rnn._flat_weights[4 * first : 4 * (first + layers)]  # type: ignore[return-value]

    def run(self, x_BTI: Tensor, state_LBM: Tensor, weights: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Run PyTorch's own loop. Return the top layer's hidden states [B, T, H] and the state [L, B, M] after the last
        step.

        The last arguments of the calls are: has biases, layers, dropout, training, bidirectional, batch first.
        """
        layers, training = state_LBM.size(0), self.training  # cuDNN keeps the values for gradients only in training
        if self.cell == "lstm":
            start = [part_LBH.contiguous() for part_LBH in state_LBM.chunk(2, dim=2)]
            h_BTH, h_LBH, c_LBH = torch.lstm(x_BTI, start, weights, True, layers, 0.0, training, False, True)
            return h_BTH, torch.cat([h_LBH, c_LBH], dim=2)
        if self.cell == "gru":
            return torch.gru(x_BTI, state_LBM, weights, True, layers, 0.0, training, False, True)
        return torch.rnn_tanh(x_BTI, state_LBM, weights, True, layers, 0.0, training, False, True)

    def run_packed(self, x_N1: Tensor, rows_T: Tensor, state_LBM: Tensor) -> tuple[Tensor, Tensor]:
        """Return the top layer's hidden states [N, H] and the state [L, B, M] after the last value of each row. It is
        `run` for rows of different lengths.

        Args:
            x_N1: the values of all rows, one time after the other, N in all.
            rows_T: the number of rows that still have a value at each time; the longest rows come first.
            state_LBM: the state before the first value.
        """
        layers, training, weights = self.layers, self.training, self.weights(0, self.layers)
        if self.cell == "lstm":
            start = [part_LBH.contiguous() for part_LBH in state_LBM.chunk(2, dim=2)]
            h_NH, h_LBH, c_LBH = torch.lstm(x_N1, rows_T, start, weights, True, layers, 0.0, training, False)
            return h_NH, torch.cat([h_LBH, c_LBH], dim=2)
        if self.cell == "gru":
            return torch.gru(x_N1, rows_T, state_LBM, weights, True, layers, 0.0, training, False)
        return torch.rnn_tanh(x_N1, rows_T, state_LBM, weights, True, layers, 0.0, training, False)

    def step(self, x_BI: Tensor, state_BM: Tensor, weights: list[Tensor]) -> Tensor:
        """Return the next state [B, M] of one layer. It is `run` for one time step, without the cost of starting a
        loop.
        """
        W_x, W_h, b_x, b_h = weights
        if self.cell == "lstm":
            h_BH, c_BH = state_BM.chunk(2, dim=1)
            h_BH, c_BH = torch.lstm_cell(x_BI, [h_BH, c_BH], W_x, W_h, b_x, b_h)
            return torch.cat([h_BH, c_BH], dim=1)
        if self.cell == "gru":
            return torch.gru_cell(x_BI, state_BM, W_x, W_h, b_x, b_h)
        return torch.rnn_tanh_cell(x_BI, state_BM, W_x, W_h, b_x, b_h)

    @torch.jit.export
    def units(self, x_BT: Tensor) -> tuple[Tensor, Tensor]:
        """Return the level and the scale [B] of sequences of equal length, as `units_between` does."""
        if self.normalisation == "range":
            low_B = x_BT.amin(dim=1)
            half_B = (x_BT.amax(dim=1) - low_B) / 2
            return low_B + half_B, half_B
        if self.normalisation == "max_abs":
            return torch.zeros_like(x_BT[:, 0]), x_BT.abs().amax(dim=1)
        return torch.full_like(x_BT[:, 0], self.offset), torch.full_like(x_BT[:, 0], self.fixed_scale)

    @torch.jit.export
    def normalise(self, x_BT: Tensor, level_B: Tensor, scale_B: Tensor) -> Tensor:
        """Convert `x_BT` to the network's units, in single precision. A sequence of scale zero becomes zero.

        The division is done in the precision of `x_BT`. Pass float64, so that no magnitude is lost before the division.
        """
        return torch.where(scale_B > 0, (x_BT.T - level_B) / scale_B, 0.0).T.to(self.readout.weight.dtype)

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
